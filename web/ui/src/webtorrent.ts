// The little of webtorrent 3 that we use, and how it gets into the page: its own published files, loaded by address at run time. They are
// never bundled: a bundle of it builds without a word and then fails in the browser.

export interface Wire {
  /** `webSeed` over HTTP; otherwise a peer. */
  readonly type: string;
  readonly peerId?: string;
  readonly destroyed?: boolean;
  on(event: 'download' | 'upload', listener: (bytes: number) => void): unknown;
  once(event: 'close', listener: () => void): unknown;
}

export interface TorrentFile {
  readonly name: string;
  readonly length: number;
  readonly streamURL: string;
  select(priority?: number): void;
  deselect(): void;
}

export interface Torrent {
  readonly infoHash: string;
  readonly files: readonly TorrentFile[];
  readonly progress: number;
  /** There once the torrent is being looked for. */
  readonly discovery?: { readonly tracker?: { on(event: 'update', listener: (answer: TrackerAnswer) => void): unknown } };
  on(event: 'wire', listener: (wire: Wire) => void): unknown;
  on(event: 'error' | 'warning', listener: (error: Error) => void): unknown;
  once(event: 'ready' | 'metadata', listener: () => void): unknown;
  addWebSeed(url: string): void;
  destroy(options?: { readonly destroyStore: boolean }): void;
}

/** How many are in a swarm, as a tracker counts: this page is one of them. */
export interface TrackerAnswer {
  readonly announce: string;
  readonly complete: number;
  readonly incomplete: number;
  /** Those of them that watch, which trackers of pods tell: the others seed, or are BitTorrent clients. */
  readonly viewers?: number;
}

export interface ClientOptions {
  readonly dht: boolean;
  readonly webSeeds: boolean;
  readonly utPex: boolean;
  readonly tracker: { readonly rtcConfig: RTCConfiguration; readonly announce: readonly string[] };
}

export interface Client {
  add(torrent: Uint8Array, options: { readonly announce: readonly string[]; readonly deselect: boolean }): Torrent;
  createServer(options: { readonly controller: ServiceWorkerRegistration }): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  destroy(done?: () => void): void;
}

export type ClientConstructor = new (options: ClientOptions) => Client;

const CLIENT_URL = '/vendor/webtorrent/webtorrent.min.js';
const WORKER_URL = '/sw.min.js';

/** Why this page cannot take part in a swarm, in words, or nothing when it can. */
export function obstacle(page: Pick<Window, 'isSecureContext'> & { RTCPeerConnection?: unknown; navigator: { serviceWorker?: unknown } }): string | undefined {
  if (!page.isSecureContext) return 'Sharing with other viewers needs https (or localhost) in the address.';
  if (!page.RTCPeerConnection) return 'This browser has no WebRTC, so it cannot share with other viewers.';
  if (!page.navigator.serviceWorker) return 'This browser allows no service worker here (a private window?), so it cannot share with other viewers.';
  return undefined;
}

export async function loadClient(): Promise<ClientConstructor> {
  const module = (await import(/* @vite-ignore */ new URL(CLIENT_URL, location.href).href)) as { default: ClientConstructor };
  return module.default;
}

/** The .torrent file of this pod. */
export async function loadTorrent(url: string): Promise<Uint8Array> {
  const answer = await fetch(new URL(url, location.href));
  if (!answer.ok) throw new Error(`this pod answered ${answer.status} for its torrent file`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Registers the worker that hands pieces to `<video>`, and waits until it is active. */
export async function loadWorker(): Promise<ServiceWorkerRegistration> {
  const registration = await navigator.serviceWorker.register(WORKER_URL, { scope: '/' });
  await navigator.serviceWorker.ready;
  return registration;
}

/** More STUN servers than this make browsers slow, and say no more. */
const STUN_MAX = 4;

/**
 * The STUN servers of the videos in which the page takes part: of its own pod and of their origins, each for as long as a video wants it.
 * Every new connection is given the list as it is then.
 */
export class StunServers {
  /** What connections are given; always the same array. */
  readonly list: RTCIceServer[] = [];
  readonly #wanted: string[] = [];

  /** From now on these are asked; answers how to end that. */
  use(servers: readonly string[]): () => void {
    this.#wanted.push(...servers);
    this.#renew();
    let over = false;
    return () => {
      if (over) return;
      over = true;
      for (const server of servers) this.#wanted.splice(this.#wanted.indexOf(server), 1);
      this.#renew();
    };
  }

  #renew(): void {
    const distinct = [...new Set(this.#wanted)].slice(0, STUN_MAX);
    this.list.splice(0, this.list.length, ...distinct.map((urls) => ({ urls })));
  }
}

/**
 * The options of the client. `iceServers` is set on purpose: webtorrent's own list names servers of third parties, and a page
 * contacts its own pod and the sources of its video, nobody else. Trackers are named with each torrent.
 */
export function clientOptions(iceServers: RTCIceServer[]): ClientOptions {
  return { dht: false, webSeeds: false, utPex: false, tracker: { rtcConfig: { iceServers }, announce: [] } };
}

/** The info hash that a request of the worker asks for, if it is one. */
export function requestedHash(message: unknown): string | undefined {
  if (typeof message !== 'object' || message === null || !('url' in message) || typeof message.url !== 'string') return undefined;
  return /\/webtorrent\/([0-9a-f]{40})\//i.exec(message.url)?.[1]?.toLowerCase();
}

/**
 * The worker asks every open page of this pod for a piece and takes the first answer, and a page that plays something else answers
 * "not found". So each page keeps silent about videos that are not its own. Must be called before the client's `createServer`.
 */
export function answerOnlyFor(own: ReadonlySet<string>, container: Pick<EventTarget, 'addEventListener'>): void {
  container.addEventListener('message', (event) => {
    const hash = requestedHash((event as MessageEvent).data);
    if (hash && !own.has(hash)) event.stopImmediatePropagation();
  });
}

/** A page has one client, for the video it shows and for those it keeps. */
export interface Shared {
  readonly client: Client;
  /** The info hashes of its videos, in lower case: the worker is answered for these alone. */
  readonly own: Set<string>;
  readonly stun: StunServers;
  /** Told when the client breaks, and with it every torrent. */
  readonly broken: Set<(error: Error) => void>;
}

/** The client of a page; begun when it is first wanted, and again when it broke. */
export class PageClient {
  readonly #load: () => Promise<readonly [ClientConstructor, ServiceWorkerRegistration]>;
  readonly #container: () => Pick<EventTarget, 'addEventListener'>;
  /** One set and one listener, however many clients there are: the listener of one that broke would silence what the next one has. */
  readonly #own = new Set<string>();
  #listening = false;
  #shared: Promise<Shared> | undefined;

  constructor(load: () => Promise<readonly [ClientConstructor, ServiceWorkerRegistration]>, container: () => Pick<EventTarget, 'addEventListener'>) {
    this.#load = load;
    this.#container = container;
  }

  get(): Promise<Shared> {
    this.#shared ??= this.#begin().catch((error: unknown) => {
      this.#shared = undefined;
      throw error;
    });
    return this.#shared;
  }

  async #begin(): Promise<Shared> {
    const [WebTorrent, controller] = await this.#load();
    const stun = new StunServers();
    const client = new WebTorrent(clientOptions(stun.list));
    const broken = new Set<(error: Error) => void>();
    client.on('error', (error) => {
      // Whoever comes next begins anew.
      this.#shared = undefined;
      for (const tell of [...broken]) tell(error);
    });
    if (!this.#listening) answerOnlyFor(this.#own, this.#container());
    this.#listening = true;
    client.createServer({ controller });
    return { client, own: this.#own, stun, broken };
  }
}

const ofThisPage = new PageClient(() => Promise.all([loadClient(), loadWorker()]), () => navigator.serviceWorker);

/** The client of this page. */
export function sharedClient(): Promise<Shared> {
  return ofThisPage.get();
}
