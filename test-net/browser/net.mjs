// Three real pods, started by the test-net program on free ports, and what tests ask of them over HTTP.

import { spawn, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Where cargo puts programs. */
export const PROGRAMS = join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'debug');
const PROGRAM = join(PROGRAMS, 'seedpod-test-net');
const START_DEADLINE = 60_000;

/** Starts pods: friends of each other unless told otherwise, with further settings as environment variables. */
export async function startNet(pods = 3, { friends = true, environment = {} } = {}) {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run cargo build --workspace --bins first`);
  const child = spawn(PROGRAM, ['--pods', String(pods), '--any-ports', ...(friends ? ['--friends'] : [])], { cwd: ROOT, env: { ...process.env, ...environment } });
  let output = '';
  child.stderr.on('data', (bytes) => (output += bytes));
  const found = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ready table in time:\n${output}`)), START_DEADLINE);
    child.once('exit', (code) => reject(new Error(`test-net ended with ${code}:\n${output}`)));
    child.stdout.on('data', (bytes) => {
      output += bytes;
      const table = [...output.matchAll(/^ {2}pod (\d+) {2}(\S+) {2}root \/ (\S+) {2}pid (\d+)$/gm)];
      if (table.length < pods) return;
      clearTimeout(timer);
      resolve(table.map(([, number, url, password, pid]) => new Pod(Number(number), url, password, Number(pid))));
    });
  });
  return new Net(child, found, () => output);
}

class Net {
  constructor(child, pods, output) {
    this.child = child;
    this.pods = pods;
    this.output = output;
    child.removeAllListeners('exit');
  }

  /** Pod by its number, from 1. */
  pod(number) {
    return this.pods[number - 1];
  }

  async stop() {
    if (this.child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    await ended;
  }
}

export class Pod {
  #token;

  constructor(number, url, password, pid) {
    Object.assign(this, { number, url, password, pid });
  }

  /** Ends the process at once, as a power cut would. */
  kill() {
    process.kill(this.pid, 'SIGKILL');
  }

  async token() {
    this.#token ??= await this.#login();
    return this.#token;
  }

  async #login() {
    const client = await this.json('/api/v1/oauth-clients/local');
    const body = new URLSearchParams({
      ...client,
      grant_type: 'password',
      response_type: 'code',
      username: 'root',
      password: this.password,
    });
    const answer = await this.json('/api/v1/users/token', { method: 'POST', body });
    return answer.access_token;
  }

  async json(path, init) {
    const answer = await fetch(this.url + path, init);
    if (!answer.ok) throw new Error(`${init?.method ?? 'GET'} ${path} on pod ${this.number}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** Uploads a file through the API and answers what the pod made of it. */
  async upload(file, name, fields = {}) {
    const me = await this.json('/api/v1/users/me', { headers: await this.#auth() });
    const form = new FormData();
    form.set('name', name);
    form.set('channelId', String(me.videoChannels[0].id));
    form.set('privacy', '1');
    for (const [field, value] of Object.entries(fields)) form.set(field, value);
    form.set('videofile', new File([readFileSync(file)], file.split('/').pop()));
    const { video } = await this.json('/api/v1/videos/upload', { method: 'POST', body: form, headers: await this.#auth() });
    return video;
  }

  /** Becomes a friend of the pod at this host. */
  async befriend(host) {
    const headers = { ...(await this.#auth()), 'content-type': 'application/json' };
    const answer = await fetch(`${this.url}/api/v1/pods`, { method: 'POST', body: JSON.stringify({ host }), headers });
    if (!answer.ok) throw new Error(`befriending ${host} on pod ${this.number}: ${answer.status} ${await answer.text()}`);
  }

  /** Removes a video for good. */
  async remove(video) {
    const answer = await fetch(`${this.url}/api/v1/videos/${video.uuid}`, { method: 'DELETE', headers: await this.#auth() });
    if (!answer.ok) throw new Error(`removing on pod ${this.number}: ${answer.status} ${await answer.text()}`);
  }

  async #auth() {
    return { authorization: `Bearer ${await this.token()}` };
  }
}

/** Waits until a condition gives something true. */
export async function eventually(what, condition, deadline = 30_000) {
  const end = Date.now() + deadline;
  let last;
  while (Date.now() < end) {
    try {
      last = await condition();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`not in time: ${what} (last: ${last instanceof Error ? last.message : JSON.stringify(last)})`);
}

/** Short clips, made by ffmpeg: what people upload, in the three containers. */
export class Clips {
  #folder = mkdtempSync(join(tmpdir(), 'seedpod-clips-'));

  /** H.264 and AAC with the index at the end, as cameras write it. */
  mp4(seconds = 8) {
    return this.#make('camera.mp4', seconds, ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-c:a', 'aac']);
  }

  /** VP9 and Opus. */
  webm(seconds = 5) {
    return this.#make('clip.webm', seconds, ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-c:a', 'libopus']);
  }

  /** VP8 and Vorbis in Ogg. Chromium has had no Theora since version 123, so that cannot be what is tried here. */
  ogv(seconds = 5) {
    return this.#make('clip.ogv', seconds, ['-c:v', 'libvpx', '-deadline', 'realtime', '-b:v', '1M', '-c:a', 'libvorbis', '-f', 'ogg']);
  }

  /** Theora and Vorbis in Ogg: still around, and beyond this browser. */
  theora(seconds = 5) {
    return this.#make('old.ogv', seconds, ['-c:v', 'libtheora', '-q:v', '6', '-c:a', 'libvorbis']);
  }

  /** H.264 of something pleasant to look at: `source` is a video source of ffmpeg, of any length. */
  scene(name, source, seconds = 10) {
    const file = join(this.#folder, `${name}.mp4`);
    const codec = ['-c:v', 'libx264', '-preset', 'veryfast', '-pix_fmt', 'yuv420p', '-movflags', '+faststart'];
    execFileSync('ffmpeg', ['-v', 'error', '-y', '-f', 'lavfi', '-i', source, '-t', String(seconds), ...codec, file]);
    return file;
  }

  /** H.264 with a constant 25 Mbit/s, so that its bytes take a while to travel: 40 MB of something calm. */
  weighty(name = 'weighty', source = 'gradients=s=1280x720:r=25:n=3:speed=0.01:seed=4', seconds = 13) {
    const file = join(this.#folder, `${name}.mp4`);
    const rate = ['-b:v', '25M', '-minrate', '25M', '-maxrate', '25M', '-bufsize', '5M', '-x264-params', 'nal-hrd=cbr'];
    const codec = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', ...rate, '-movflags', '+faststart'];
    if (!existsSync(file)) execFileSync('ffmpeg', ['-v', 'error', '-y', '-f', 'lavfi', '-i', source, '-t', String(seconds), ...codec, file]);
    return file;
  }

  remove() {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #make(name, seconds, codec) {
    const file = join(this.#folder, name);
    const picture = ['-f', 'lavfi', '-i', `testsrc2=size=640x360:rate=25:duration=${seconds}`];
    const sound = ['-f', 'lavfi', '-i', `sine=frequency=440:duration=${seconds}`];
    execFileSync('ffmpeg', ['-v', 'error', '-y', ...picture, ...sound, ...codec, '-shortest', file]);
    return file;
  }
}
