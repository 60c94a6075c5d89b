// <pod-player>: stands around the server's <video>, which plays by plain HTTP on its own, and moves it into the swarm when that is possible
// and nobody will notice. Whatever goes wrong in the swarm, the video goes on over HTTP.

import { type Rates, SourceAccount, bufferedBytes } from './accounting.ts';
import { HttpPodApi } from './api-http.ts';
import { showCarried } from './carried-line.ts';
import { CarriedReports } from './carried-report.ts';
import { mayChangeSource } from './change-over.ts';
import { percent } from './format.ts';
import { KeptVideos } from './kept-videos.ts';
import { type FileSource, type PlayerData, reachable, readPlayerData } from './page-data.ts';
import { podEvents } from './pod-events.ts';
import { pageStorage, rememberSharing, sharingWanted } from './preference.ts';
import { showChip } from './sharing-chip.ts';
import { type Connection, SwarmEngine } from './swarm-engine.ts';
import { ViewReport, moves } from './view-report.ts';
import { obstacle } from './webtorrent.ts';

/** What is known about the video's way here, once a second in the event `stats` and always as the property `stats`. */
export interface PlayerStats {
  /** Where the player reads from now. */
  readonly source: 'http' | 'swarm';
  /** Bytes from other viewers. */
  readonly fromPeers: number;
  /** Bytes from pods, those of plain HTTP included (estimated from what is buffered). */
  readonly fromPods: number;
  /** Bytes given to other viewers. */
  readonly uploaded: number;
  /** Other viewers connected now. */
  readonly peers: number;
  /** Pods connected now. */
  readonly pods: number;
  /** Other viewers who brought something, those who left meanwhile among them. */
  readonly helpers: number;
  /** Everybody in the swarm, this page included. */
  readonly swarmSize: number;
  readonly rates: Rates;
  /** How much of the file this page holds and can give, 0 to 1. */
  readonly progress: number;
  readonly connections: readonly Connection[];
  /** The switch. */
  readonly sharing: boolean;
  /** Why the video comes over HTTP although the switch is on; empty when it does not. */
  readonly note: string;
}

/** What this page goes on giving after somebody watched it. */
const kept = new KeptVideos<SwarmEngine>();
showChip(kept);

/** How often the pod is told what came and went, in milliseconds. */
const TELL_EVERY = 10_000;
const api = new HttpPodApi();
const reports = new CarriedReports(async (uuid, told) => showCarried(document, uuid, await api.carried(uuid, told)));
setInterval(() => void reports.tell(), TELL_EVERY);
window.addEventListener('pagehide', () => void reports.tell());

const TICK = 1_000;
/** For so long a stalled video may wait without a word, in milliseconds. */
const PATIENCE = 4_000;

export class PodPlayer extends HTMLElement {
  #data: PlayerData | undefined;
  #file: FileSource | undefined;
  #video: HTMLVideoElement | null = null;
  #account = new SourceAccount();
  #report: ViewReport | undefined;
  #engine: SwarmEngine | undefined;
  #source: 'http' | 'swarm' = 'http';
  /** The address in the swarm, once the torrent is ready. */
  #streamUrl: string | undefined;
  #startedAt = 0;
  #stalled = false;
  #sharing = false;
  #note = '';
  /** Why nothing plays, in words for the middle of the picture; empty while all is well. */
  #trouble = '';
  #stalledAt = 0;
  #explaining = false;
  #words: HTMLElement | undefined;
  #rates: Rates = { down: 0, up: 0 };
  #timer: ReturnType<typeof setInterval> | undefined;
  /** The controls, once they are here. */
  #controls: HTMLElement | undefined;
  #listening: AbortController | undefined;
  /** How many watch with this pod's tracker, as it last said. */
  #counted: number | undefined;

  connectedCallback(): void {
    this.#video = this.querySelector('video');
    this.#data = readPlayerData();
    this.#file = this.#data?.files[0];
    if (!this.#video || !this.#file) return;
    const { uuid, duration } = this.#data ?? { uuid: '', duration: 0 };
    this.#report = new ViewReport(duration, (seconds) => api.view(uuid, seconds));
    this.#listening = new AbortController();
    this.#listen(this.#video, this.#listening.signal);
    this.#timer = setInterval(() => this.#tick(), TICK);
    const deaf = podEvents.listen((hint) => {
      if (hint.kind === 'swarm') this.#counted = hint.count;
    }, this.#data?.uuid);
    this.#listening.signal.addEventListener('abort', deaf);
    this.#sharing = sharingWanted(pageStorage(), navigator);
    if (this.#sharing) this.#join();
    this.#tell();
    void this.#dress(this.#video, this.#listening.signal);
  }

  /** The controls come after the swarm was asked: nothing waits for them, and without them the browser's own stay. */
  async #dress(video: HTMLVideoElement, signal: AbortSignal): Promise<void> {
    try {
      const { dress } = await import('./controls.ts');
      if (!signal.aborted) this.#controls = dress(this, video, signal) ?? this.#controls;
    } catch {
      // The pod went away between the page and its script.
    }
  }

  disconnectedCallback(): void {
    clearInterval(this.#timer);
    this.#listening?.abort();
    const engine = this.#engine;
    this.#engine = undefined;
    // An element that is gone must not go on fetching.
    this.#video?.removeAttribute('src');
    for (const source of this.#video?.querySelectorAll('source') ?? []) source.remove();
    this.#video?.load();
    if (engine) kept.keep(engine);
    void reports.tell();
  }

  get stats(): PlayerStats {
    const connections = this.#engine?.connections ?? [];
    const peers = connections.filter(({ kind, open }) => kind === 'peer' && open).length;
    return {
      source: this.#source,
      ...this.#account.totals(),
      peers,
      pods: connections.filter(({ kind, open }) => kind === 'pod' && open).length,
      helpers: connections.filter(({ kind, received }) => kind === 'peer' && received > 0).length,
      swarmSize: this.#swarmSize(peers),
      rates: this.#rates,
      progress: this.#engine?.progress ?? 0,
      connections,
      sharing: this.#sharing,
      note: this.#trouble || this.#note,
    };
  }

  get data(): PlayerData | undefined {
    return this.#data;
  }

  /** The switch. Off leaves the swarm at once: no connection to viewers, no tracker, plain HTTP. */
  set sharing(on: boolean) {
    rememberSharing(pageStorage(), on);
    if (on === this.#sharing) return;
    this.#sharing = on;
    this.#note = '';
    if (on) this.#join();
    else {
      kept.stop();
      this.#leave();
    }
    this.#tell();
  }

  get sharing(): boolean {
    return this.#sharing;
  }

  /** Everybody in the swarm, this page included. This pod says by itself what its own tracker has; the others when they are asked. */
  #swarmSize(peers: number): number {
    const sizes = new Map(this.#engine?.swarmSizes);
    const own = this.#data?.trackers[0];
    if (own !== undefined && this.#counted !== undefined) sizes.set(own, this.#counted + (this.#engine ? 0 : 1));
    return Math.max(peers + 1, ...sizes.values());
  }

  #join(): void {
    const [data, file] = [this.#data, this.#file];
    if (!data || !file || this.#engine) return;
    if (!data.p2p) {
      this.#note = 'Its author asked for this video not to be shared between viewers.';
      return;
    }
    const reason = obstacle(window);
    if (reason) {
      this.#note = reason;
      return;
    }
    this.#startedAt = performance.now();
    const known = kept.take(file.infoHash);
    const engine = known ?? new SwarmEngine(file);
    this.#account = engine.account;
    this.#engine = engine;
    engine.attend({
      ready: (url) => {
        if (this.#engine !== engine) return;
        this.#streamUrl = url;
        if (!this.#video?.paused) engine.wantAll();
        this.#consider();
      },
      failed: (cause) => {
        if (this.#engine !== engine) return;
        this.#note = `The swarm cannot be joined (${cause}); the video comes over plain HTTP.`;
        this.#leave();
        this.#tell();
      },
    });
    if (!known) void engine.join(reachable(data.trackers, location.protocol), data.stun);
  }

  #leave(): void {
    const engine = this.#engine;
    this.#engine = undefined;
    this.#streamUrl = undefined;
    if (this.#source === 'swarm' && this.#file) this.#change('http', this.#file.url);
    engine?.leave();
  }

  /** Moves the video into the swarm if that is ready and the moment is right. */
  #consider(): void {
    const video = this.#video;
    if (!video || !this.#streamUrl || this.#source === 'swarm') return;
    const moment = {
      sinceStart: performance.now() - this.#startedAt,
      paused: video.paused,
      seeking: video.seeking,
      stalled: this.#stalled,
      failed: video.error !== null || video.networkState === HTMLMediaElement.NETWORK_NO_SOURCE,
    };
    if (mayChangeSource(moment)) this.#change('swarm', this.#streamUrl);
  }

  /** Changes the source at the same place, under a copy of the last picture. */
  #change(source: 'http' | 'swarm', url: string): void {
    const video = this.#video;
    if (!video) return;
    this.#noteHttp();
    const { currentTime, paused, playbackRate } = video;
    const started = currentTime > 0 || !paused;
    const cover = started ? this.#cover(video) : undefined;
    this.#source = source;
    if (source === 'swarm') {
      this.#note = '';
      // Not before: while the video plays over HTTP, the origin is not asked for the same file twice.
      this.#engine?.useWebSeeds(reachable([this.#file?.webSeed ?? '', ...(this.#file?.mirrors ?? [])], location.protocol));
      if (started) this.#engine?.wantAll();
    }
    this.#stalled = false;
    this.#trouble = '';
    video.src = url;
    if (started) {
      video.currentTime = currentTime;
      const uncover = () => cover?.remove();
      video.addEventListener(currentTime > 0 ? 'seeked' : 'loadeddata', uncover, { once: true });
      video.addEventListener('error', uncover, { once: true });
    }
    video.playbackRate = playbackRate;
    if (!paused) video.play().catch(() => cover?.remove());
    this.dispatchEvent(new CustomEvent('sourcechange', { detail: { source } }));
    this.#tell();
  }

  #cover(video: HTMLVideoElement): HTMLCanvasElement | undefined {
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || video.videoWidth === 0) return undefined;
    const canvas = document.createElement('canvas');
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext('2d')?.drawImage(video, 0, 0);
    // Over the video and under its controls, which do not hide it when nobody moves.
    canvas.slot = 'gestures-chrome';
    canvas.toggleAttribute('noautohide', true);
    (this.#controls ?? this).append(canvas);
    return canvas;
  }

  #listen(video: HTMLVideoElement, signal: AbortSignal): void {
    const on = (event: string, listener: () => void) => video.addEventListener(event, listener, { signal });
    on('play', () => {
      this.#startedAt = performance.now();
      this.#engine?.wantAll();
    });
    for (const event of ['pause', 'seeking']) on(event, () => this.#consider());
    on('waiting', () => {
      this.#stalled = true;
      this.#stalledAt = performance.now();
      this.#consider();
    });
    on('playing', () => {
      this.#stalled = false;
      this.#relieved();
    });
    on('loadedmetadata', () => {
      // Sound alone, where there should be a picture, looks like a dead player.
      if (video.videoWidth === 0 && (this.#file?.resolution ?? 0) > 0) this.#unplayable();
    });
    // A <source> that cannot be had says so itself, and such an event does not bubble: hence the capture.
    video.addEventListener('error', () => this.#broken(), { signal, capture: true });
    window.addEventListener('pagehide', () => this.#engine?.leave(), { signal });
    window.addEventListener(
      'pageshow',
      (event) => {
        // Back from the browser's memory of pages: the client was closed when the page was left.
        if (!event.persisted || !this.#engine) return;
        this.#leave();
        if (this.#sharing) this.#join();
      },
      { signal },
    );
  }

  /** The present source broke: the swarm's stream goes on over HTTP at the same place, HTTP in the swarm, if there is one. */
  #broken(): void {
    const video = this.#video;
    if (!video) return;
    if (this.#source === 'swarm') {
      this.#note = 'The stream from the swarm broke; the video goes on over plain HTTP.';
      this.#leave();
    } else if (video.error !== null || video.networkState === HTMLMediaElement.NETWORK_NO_SOURCE) {
      this.#consider();
      void this.#explain();
    } else return;
    this.#tell();
  }

  /** HTTP brings nothing that plays: is the pod away, or is it this browser? */
  async #explain(): Promise<void> {
    const file = this.#file;
    if (!file || this.#explaining || this.#trouble !== '') return;
    this.#explaining = true;
    const there = await fetch(file.url, { headers: { Range: 'bytes=0-0' } }).then((answer) => answer.ok, () => false);
    this.#explaining = false;
    if (this.#source !== 'http') return;
    if (there && this.#video?.error?.code !== MediaError.MEDIA_ERR_NETWORK) this.#unplayable();
    else {
      this.#trouble = `${this.#origin()} does not answer, so the video stops here. ${this.#elsewhere()}`;
    }
    this.#tell();
  }

  #unplayable(): void {
    this.#trouble = 'This browser cannot show this kind of video. Download it below and open it in a player such as VLC, or try another browser.';
    this.#tell();
  }

  /** The next step when the origin gives nothing. */
  #elsewhere(): string {
    return this.#engine ? 'Other viewers are asked for it.' : 'Other viewers may still have it: switch sharing on, or try again later.';
  }

  #origin(): string {
    return this.#data?.originHost || 'The pod';
  }

  /** It plays again: whatever was said about the source is no longer true. */
  #relieved(): void {
    if (this.#trouble === '' || this.#video?.videoWidth === 0) return;
    this.#trouble = '';
    this.#tell();
  }

  #noteHttp(): void {
    const [video, file] = [this.#video, this.#file];
    if (this.#source !== 'http' || !video || !file || video.readyState === 0) return;
    const ranges = Array.from({ length: video.buffered.length }, (_, index) => [video.buffered.start(index), video.buffered.end(index)] as const);
    this.#account.httpReached(bufferedBytes(ranges, video.duration, file.size));
  }

  #tick(): void {
    if (this.#video && moves(this.#video)) this.#report?.played(TICK / 1_000, this.#video.currentTime);
    this.#noteHttp();
    if (this.#data) reports.count(this.#data.uuid, this.#account);
    // It may have broken before this script was there to hear it.
    if (this.#source === 'http' && this.#trouble === '') this.#broken();
    if (this.#stalled && this.#trouble === '' && !this.#video?.paused && performance.now() - this.#stalledAt > PATIENCE) {
      this.#trouble = this.#source === 'http' ? `Waiting for ${this.#origin()}, which has sent nothing for a while. ${this.#elsewhere()}` : 'Waiting: nobody in the swarm gives the next piece right now. It goes on by itself when somebody does.';
    }
    this.#rates = this.#account.sample(performance.now());
    this.#consider();
    this.#tell();
  }

  #tell(): void {
    const { stats } = this;
    this.#showWords();
    this.#showChip(stats);
    this.dispatchEvent(new CustomEvent<PlayerStats>('stats', { detail: stats }));
  }

  /** Why nothing plays, where people look: on the picture. */
  #showWords(): void {
    if (this.#trouble === '' && !this.#words) return;
    if (!this.#words) {
      this.#words = document.createElement('p');
      this.#words.className = 'player-note';
      this.#words.setAttribute('role', 'status');
      this.append(this.#words);
    }
    this.#words.hidden = this.#trouble === '';
    if (this.#words.textContent !== this.#trouble) this.#words.textContent = this.#trouble;
  }

  /** A quiet word among the controls once other viewers carry a part of it. */
  #showChip({ fromPeers, fromPods, source }: PlayerStats): void {
    const chip = this.#controls?.querySelector<HTMLElement>('.player-chip');
    if (!chip) return;
    chip.hidden = source !== 'swarm' || fromPeers === 0 || this.#trouble !== '';
    const text = `${percent(fromPeers, fromPeers + fromPods)} from viewers`;
    if (chip.textContent !== text) chip.textContent = text;
  }
}

customElements.define('pod-player', PodPlayer);

declare global {
  interface HTMLElementTagNameMap {
    'pod-player': PodPlayer;
  }
  interface Navigator {
    readonly globalPrivacyControl?: boolean;
    readonly connection?: { readonly saveData?: boolean };
  }
}
