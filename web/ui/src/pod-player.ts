// <pod-player>: stands around the server's <video>, which plays by plain HTTP on its own, and moves it into the swarm when that is possible
// and nobody will notice. Whatever goes wrong in the swarm, the video goes on over HTTP.

import { type Rates, SourceAccount, bufferedBytes } from './accounting.ts';
import { mayChangeSource } from './change-over.ts';
import { percent } from './format.ts';
import { type FileSource, type PlayerData, reachable, readPlayerData } from './page-data.ts';
import { pageStorage, rememberSharing, sharingWanted } from './preference.ts';
import { type Connection, SwarmEngine } from './swarm-engine.ts';
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
  readonly rates: Rates;
  /** How much of the file this page holds and can give, 0 to 1. */
  readonly progress: number;
  readonly connections: readonly Connection[];
  /** The switch. */
  readonly sharing: boolean;
  /** Why the video comes over HTTP although the switch is on; empty when it does not. */
  readonly note: string;
}

const TICK = 1_000;

export class PodPlayer extends HTMLElement {
  #data: PlayerData | undefined;
  #file: FileSource | undefined;
  #video: HTMLVideoElement | null = null;
  #account = new SourceAccount();
  #engine: SwarmEngine | undefined;
  #source: 'http' | 'swarm' = 'http';
  /** The address in the swarm, once the torrent is ready. */
  #streamUrl: string | undefined;
  #startedAt = 0;
  #stalled = false;
  #sharing = false;
  #note = '';
  #rates: Rates = { down: 0, up: 0 };
  #timer: ReturnType<typeof setInterval> | undefined;
  #chip: HTMLElement | undefined;
  #listening: AbortController | undefined;

  connectedCallback(): void {
    this.#video = this.querySelector('video');
    this.#data = readPlayerData();
    this.#file = this.#data?.files[0];
    if (!this.#video || !this.#file) return;
    this.#listening = new AbortController();
    this.#listen(this.#video, this.#listening.signal);
    this.#timer = setInterval(() => this.#tick(), TICK);
    this.#sharing = sharingWanted(pageStorage(), navigator);
    if (this.#sharing) this.#join();
    this.#tell();
  }

  disconnectedCallback(): void {
    clearInterval(this.#timer);
    this.#listening?.abort();
    this.#engine?.leave();
    this.#engine = undefined;
  }

  get stats(): PlayerStats {
    const connections = this.#engine?.connections ?? [];
    return {
      source: this.#source,
      ...this.#account.totals(),
      peers: connections.filter((connection) => connection.kind === 'peer').length,
      pods: connections.filter((connection) => connection.kind === 'pod').length,
      rates: this.#rates,
      progress: this.#engine?.progress ?? 0,
      connections,
      sharing: this.#sharing,
      note: this.#note,
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
    else this.#leave();
    this.#tell();
  }

  get sharing(): boolean {
    return this.#sharing;
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
    const engine = new SwarmEngine(this.#account, {
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
    this.#engine = engine;
    void engine.join(file, reachable(data.trackers, location.protocol));
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
      this.#engine?.useWebSeeds(reachable([this.#file?.webSeed ?? ''], location.protocol));
      if (started) this.#engine?.wantAll();
    }
    this.#stalled = false;
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
    this.append(canvas);
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
      this.#consider();
    });
    on('playing', () => {
      this.#stalled = false;
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
      const next = this.#engine ? 'Looking for viewers who have it.' : 'Other viewers may still have it: switch sharing on.';
      this.#note = `${this.#data?.originHost ?? 'The pod'} does not give the file over HTTP. ${next}`;
      this.#consider();
    } else return;
    this.#tell();
  }

  #noteHttp(): void {
    const [video, file] = [this.#video, this.#file];
    if (this.#source !== 'http' || !video || !file || video.readyState === 0) return;
    const ranges = Array.from({ length: video.buffered.length }, (_, index) => [video.buffered.start(index), video.buffered.end(index)] as const);
    this.#account.httpReached(bufferedBytes(ranges, video.duration, file.size));
  }

  #tick(): void {
    this.#noteHttp();
    // It may have broken before this script was there to hear it.
    if (this.#source === 'http' && this.#note === '') this.#broken();
    this.#rates = this.#account.sample(performance.now());
    this.#consider();
    this.#tell();
  }

  #tell(): void {
    const { stats } = this;
    this.#showChip(stats);
    this.dispatchEvent(new CustomEvent<PlayerStats>('stats', { detail: stats }));
  }

  /** A quiet word on the picture once other viewers carry a part of it. */
  #showChip({ fromPeers, fromPods, source }: PlayerStats): void {
    const worth = source === 'swarm' && fromPeers > 0;
    if (!worth && !this.#chip) return;
    if (!this.#chip) {
      this.#chip = document.createElement('span');
      this.#chip.className = 'player-chip';
      this.append(this.#chip);
    }
    this.#chip.hidden = !worth;
    this.#chip.textContent = `${percent(fromPeers, fromPeers + fromPods)} from viewers`;
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
