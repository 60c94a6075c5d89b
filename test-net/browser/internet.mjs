// An internet of a test's own: pods at its addresses, and homes behind routers that translate addresses, as most people live.
//
// A test that wants it runs again inside of a fresh network namespace, see `runInside`; that one is the internet. Each home is two more: the
// router's, and the one in which its browser runs. Needs to be root or allowed to make user namespaces, and `unshare`, `nsenter` (util-linux),
// `ip` (iproute2), `nft` (nftables) and python3. Nothing of the machine's own network is touched, and nothing leaves these namespaces.

import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { EXECUTABLE } from './browser.mjs';
import { Pod, PROGRAMS, ROOT, eventually } from './net.mjs';

const INSIDE = 'SEEDPOD_TEST_INTERNET';
const PORT = 9001;
const READY_DEADLINE = 60_000;
const INSIDE_DEADLINE = 300_000;
/** Where routers send what is for nobody they know: it is seen on their link, and goes nowhere. */
const GATEWAY = '203.0.113.254';
/** Nobody. Whoever asks for a name asks here, and is caught at it. */
export const RESOLVER = '198.51.100.53';
// Administrators' programs are not on everybody's path.
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/** Whether this run has a network of its own. It ends when the one outside does. */
export function isInside() {
  if (process.env[INSIDE] === undefined) return false;
  process.stdin.once('end', () => process.exit(1)).resume().unref();
  return true;
}

/** Runs a file of tests again in a network of its own, and throws what it said when a test of it failed. Everything it started ends with it. */
export async function runInside(file) {
  const user = process.getuid() === 0 ? [] : ['--user', '--map-root-user'];
  const own = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const environment = { ...process.env, PATH, [INSIDE]: 'yes' };
  // Else it would speak to the runner of this run, in bytes.
  delete environment.NODE_TEST_CONTEXT;
  const child = spawn('unshare', [...user, ...own, '--', process.execPath, '--test-reporter=spec', file], { env: environment, stdio: 'pipe' });
  let said = '';
  for (const output of [child.stdout, child.stderr]) output.on('data', (bytes) => (said += bytes));
  const patience = setTimeout(() => child.kill('SIGKILL'), INSIDE_DEADLINE);
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  clearTimeout(patience);
  if (code !== 0) throw new Error(`failed in a network of its own (${code}), or none can be made: be root or allow user namespaces\n${said}`);
}

/** This internet knows IPv4 alone: what hosts of IPv6 tell each other on every link would be noise. */
const NO_IPV6 = 'for each in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ ! -w $each ] || echo 1 > $each; done';

const run = promisify(execFile);
const ip = (...words) => run('ip', words);

/** A namespace with a process that does nothing but live in it. */
class Namespace {
  constructor(holder) {
    this.holder = holder;
    this.pid = holder.pid;
  }

  static async make(resolver) {
    const script = `${NO_IPV6}; mount --bind "$0" /etc/resolv.conf && echo made && exec cat`;
    const holder = spawn('unshare', ['--net', '--mount', '--', 'sh', '-c', script, resolver], { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise((resolve, reject) => {
      holder.stdout.once('data', resolve);
      holder.once('exit', (code) => reject(new Error(`no namespace can be made: unshare ended with ${code}`)));
    });
    const made = new Namespace(holder);
    await made.run('ip', 'link', 'set', 'lo', 'up');
    return made;
  }

  /** How a program is started there. */
  command(...words) {
    return ['nsenter', `--net=/proc/${this.pid}/ns/net`, `--mount=/proc/${this.pid}/ns/mnt`, '--', ...words];
  }

  run(...words) {
    const [program, ...rest] = this.command(...words);
    return run(program, rest);
  }

  /** Gives an interface its address, such as 192.0.2.1/24. */
  async plug(link, address, gateway) {
    await this.run('ip', 'address', 'add', address, 'dev', link);
    await this.run('ip', 'link', 'set', link, 'up');
    if (gateway) await this.run('ip', 'route', 'add', 'default', 'via', gateway);
  }
}

/** What went over the outer link of a home's router. */
class Capture {
  #answers;

  constructor(child) {
    this.child = child;
    this.#answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  static async start(namespace, link) {
    const [program, ...words] = namespace.command('python3', fileURLToPath(new URL('capture.py', import.meta.url)), link);
    const capture = new Capture(spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] }));
    const { value } = await capture.#answers.next();
    if (value !== 'ready') throw new Error(`no capture on ${link}`);
    return capture;
  }

  /** Who spoke to whom up to now; throws if anything was missed. */
  async flows() {
    this.child.stdin.write('\n');
    const { value } = await this.#answers.next();
    const { flows, lost } = JSON.parse(value);
    if (lost > 0) throw new Error(`${lost} packets were not looked at`);
    return flows;
  }
}

/** A private network behind a router: its people share one public address, and nobody comes in who was not spoken to. */
export class Home {
  constructor(address, router, inner, capture, folder) {
    /** The router's public address. */
    this.address = address;
    this.capture = capture;
    this.router = router;
    this.inner = inner;
    this.folder = folder;
  }

  /** A program that starts Chromium in this home. */
  get chromium() {
    const file = join(this.folder, `chromium-at-${this.address}`);
    writeFileSync(file, `#!/bin/sh\nexec ${this.inner.command(EXECUTABLE).join(' ')} "$@"\n`, { mode: 0o755 });
    return file;
  }

  /** From now on the router turns away what goes out to this address, but for packets to its UDP port. */
  async allowOnly(address, udpPort) {
    const rules = [`udp dport != ${udpPort} drop`, 'meta l4proto tcp reject with tcp reset'];
    for (const rule of rules) await this.router.run('nft', `add rule ip home forward ip daddr ${address} ${rule}`);
  }

  async stop() {
    for (const child of [this.capture.child, this.inner.holder, this.router.holder]) await end(child);
  }

  /** Asks for a name, as no page should. */
  async askForName() {
    const script = `import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"who?", ("${RESOLVER}", 53))`;
    await this.inner.run('python3', '-c', script);
  }
}

/** As routers at home do: addresses are translated, and what nobody inside asked for is dropped without a trace. */
const ROUTER = `
table ip home {
  chain out { type nat hook postrouting priority srcnat; oifname "outer" masquerade; }
  chain input { type filter hook input priority filter; iifname "outer" ct state new drop; }
  chain forward { type filter hook forward priority filter; iifname "outer" ct state new drop; }
}
`;

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.removeAllListeners('exit').once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

export class Internet {
  #folder = mkdtempSync(join(tmpdir(), 'seedpod-internet-'));
  #homes = [];
  #pods = [];

  static async make() {
    const internet = new Internet();
    writeFileSync(internet.#file('resolv.conf'), `nameserver ${RESOLVER}\n`);
    writeFileSync(internet.#file('router.nft'), ROUTER);
    await run('sh', ['-c', NO_IPV6]);
    await ip('link', 'set', 'lo', 'up');
    await ip('link', 'add', 'internet', 'type', 'bridge');
    await ip('address', 'add', `${GATEWAY}/24`, 'dev', 'internet');
    await ip('link', 'set', 'internet', 'up');
    return internet;
  }

  #file(name) {
    return join(this.#folder, name);
  }

  /** Starts pods with addresses of their own which are friends of each other. */
  async startPods(count) {
    const addresses = Array.from({ length: count }, (_, index) => `203.0.113.${index + 1}`);
    for (const address of addresses) await ip('address', 'add', `${address}/24`, 'dev', 'internet');
    const hosts = addresses.map((address) => `${address}:${PORT}`);
    const pods = await Promise.all(addresses.map((address, index) => this.#startPod(index + 1, address, hosts)));
    for (const [index, pod] of pods.entries()) {
      for (const host of hosts.slice(index + 1)) await pod.befriend(host);
    }
    for (const pod of pods) {
      await eventually(`pod ${pod.number} has its friends`, async () => (await pod.json('/api/v1/pods')).data.length === count - 1);
    }
    return pods;
  }

  async #startPod(number, address, hosts) {
    const program = join(PROGRAMS, 'seedpod');
    if (!existsSync(program)) throw new Error(`${program} is missing: run cargo build --workspace --bins first`);
    const config = join(ROOT, `test-net/config/pod-${number}.yaml`);
    const words = ['serve', '--config', config, '--data-dir', this.#file(`pod-${number}`), '--port', String(PORT)];
    const environment = {
      ...process.env,
      SEEDPOD__LISTEN__ADDRESS: address,
      SEEDPOD__WEBSERVER__HOSTNAME: address,
      SEEDPOD__NETWORK__LISTEN: `/ip4/${address}/tcp/9010`,
      SEEDPOD__NETWORK__FRIENDS: hosts.filter((host) => host !== `${address}:${PORT}`).join(','),
    };
    const child = spawn(program, words, { cwd: this.#folder, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#pods.push(child);
    let said = '';
    const ready = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`pod ${number} is not ready in time:\n${said}`)), READY_DEADLINE);
      child.once('exit', (code) => reject(new Error(`pod ${number} ended with ${code}:\n${said}`)));
      for (const output of [child.stdout, child.stderr]) {
        output.on('data', (bytes) => {
          said += bytes;
          const found = /ready at (\S+)\n/.exec(said);
          if (!found) return;
          clearTimeout(timer);
          resolve(found[1]);
        });
      }
    });
    return new Pod(number, await ready, `test${number}`, child.pid);
  }

  /** A home with a router. All homes have the same addresses inside, as most have. */
  async addHome() {
    const number = this.#homes.length + 1;
    const address = `203.0.113.${100 + number}`;
    const [router, inner] = await Promise.all([Namespace.make(this.#file('resolv.conf')), Namespace.make(this.#file('resolv.conf'))]);
    await ip('link', 'add', `home${number}`, 'type', 'veth', 'peer', 'name', 'outer', 'netns', String(router.pid));
    await ip('link', 'set', `home${number}`, 'master', 'internet', 'up');
    await router.run('ip', 'link', 'add', 'inner', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(inner.pid));
    await router.plug('outer', `${address}/24`, GATEWAY);
    await router.plug('inner', '192.168.1.1/24');
    await inner.plug('eth0', `192.168.1.${10 * number}/24`, '192.168.1.1');
    await router.run('nft', '-f', this.#file('router.nft'));
    await router.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
    const home = new Home(address, router, inner, await Capture.start(router, 'outer'), this.#folder);
    this.#homes.push(home);
    return home;
  }

  async stop() {
    for (const home of this.#homes) await home.stop();
    for (const pod of this.#pods) await end(pod);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
