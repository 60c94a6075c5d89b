// One video in the swarm: its torrent, and who brought what. It decides nothing about the player, and can do without one: a page keeps what
// somebody watched (`kept-videos.ts`).

import { SourceAccount } from './accounting.ts';
import type { FileSource } from './page-data.ts';
import { type Torrent, type Wire, loadTorrent, sharedClient } from './webtorrent.ts';

/** One connection, for the picture of the swarm. */
export interface Connection {
  readonly kind: 'peer' | 'pod';
  /** Bytes it brought. */
  received: number;
  /** Bytes it took. */
  given: number;
  /** Still there. Two who both have everything part, and what they did for each other remains true. */
  open: boolean;
}

export interface EngineEvents {
  /** The torrent is known and checked: `streamUrl` can be played. */
  ready(streamUrl: string): void;
  /** The swarm is over for this page; the sentence says why. */
  failed(reason: string): void;
}

/** So many connections that are over are remembered. */
const PAST_MAX = 50;

/** Pods that seed over WebRTC say so in the first letters of their peer id (BEP 20): `-SP`. */
const POD_PEER_ID = '2d5350';

export function kindOf(wire: Pick<Wire, 'type' | 'peerId'>): 'peer' | 'pod' {
  return wire.type === 'webSeed' || wire.peerId?.toLowerCase().startsWith(POD_PEER_ID) ? 'pod' : 'peer';
}

export class SwarmEngine {
  readonly account = new SourceAccount();
  readonly file: FileSource;
  #events: EngineEvents | undefined;
  readonly #connections = new Set<Connection>();
  /** Takes this video off what the client of the page knows. */
  #forget: (() => void) | undefined;
  #streamUrl: string | undefined;
  #torrent: Torrent | undefined;
  readonly #sizes = new Map<string, number>();
  #counting = false;
  #over = false;
  #wanted = false;
  #seeded = false;

  constructor(file: FileSource) {
    this.file = file;
  }

  get connections(): readonly Connection[] {
    return [...this.#connections];
  }

  /** How many watch, this page included, as each tracker's last answer has it. */
  get swarmSizes(): ReadonlyMap<string, number> {
    this.#count();
    return this.#sizes;
  }

  /** How much of the file is here, 0 to 1. */
  get progress(): number {
    return this.#torrent?.progress ?? 0;
  }

  /** Bytes that are here and can be given. */
  get held(): number {
    return Math.round(this.progress * this.file.size);
  }

  /** Somebody watches: they are told what happens from now on, and that the torrent is ready if it is. */
  attend(events: EngineEvents): void {
    this.#events = events;
    const url = this.#streamUrl;
    if (url !== undefined) queueMicrotask(() => this.#events?.ready(url));
  }

  /** Nobody watches any more: what is here goes on being given, and nothing more is fetched. `ended` is told should the swarm break. */
  rest(ended: () => void): void {
    this.#events = { ready: () => undefined, failed: ended };
    if (this.progress < 1) this.#torrent?.files[0]?.deselect();
    this.#wanted = false;
  }

  /** Joins the swarm. Failures arrive as `failed`, whenever they happen. */
  async join(trackers: readonly string[], stunServers: readonly string[]): Promise<void> {
    const { file } = this;
    const hash = file.infoHash.toLowerCase();
    try {
      const [{ client, own, stun, broken }, metainfo] = await Promise.all([sharedClient(), loadTorrent(file.torrentUrl)]);
      if (this.#over) return;
      const fail = (error: Error) => this.#fail(error);
      own.add(hash);
      broken.add(fail);
      const endStun = stun.use(stunServers);
      this.#forget = () => {
        endStun();
        own.delete(hash);
        broken.delete(fail);
      };
      const torrent = client.add(metainfo, { announce: trackers, deselect: true });
      this.#torrent = torrent;
      torrent.on('error', fail);
      torrent.on('warning', () => {
        // A tracker that is down for a moment, a web seed that times out: webtorrent goes on by itself.
      });
      torrent.on('wire', (wire) => this.#connected(wire));
      torrent.once('ready', () => {
        const [first] = torrent.files;
        if (this.#over) return;
        if (torrent.infoHash.toLowerCase() !== hash) return this.#fail(new Error('the torrent is not the one that was signed'));
        if (!first) return this.#fail(new Error('the torrent holds no file'));
        if (this.#wanted) first.select();
        this.#streamUrl = first.streamURL;
        this.#events?.ready(first.streamURL);
      });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** From now on the whole file is wanted, not only what the player asks for: what is here can be given to others. */
  wantAll(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#torrent?.files[0]?.select();
  }

  /** Pods may be asked too, from now on. Until then pieces come from viewers alone, if there are any. */
  useWebSeeds(seeds: readonly string[]): void {
    if (this.#seeded) return;
    this.#seeded = true;
    for (const seed of seeds) this.#torrent?.addWebSeed(seed);
  }

  /** Leaves the swarm: closes all connections and tells the trackers. */
  leave(): void {
    this.#over = true;
    this.#events = undefined;
    this.#connections.clear();
    this.#sizes.clear();
    this.#forget?.();
    const torrent = this.#torrent;
    this.#torrent = undefined;
    this.#streamUrl = undefined;
    try {
      torrent?.destroy();
    } catch {
      // It was broken already.
    }
  }

  #connected(wire: Wire): void {
    const connection: Connection = { kind: kindOf(wire), received: 0, given: 0, open: true };
    this.#connections.add(connection);
    wire.on('download', (bytes) => {
      connection.received += bytes;
      this.account.received(connection.kind, bytes);
    });
    wire.on('upload', (bytes) => {
      connection.given += bytes;
      this.account.gave(bytes);
    });
    wire.once('close', () => this.#closed(connection));
  }

  #closed(connection: Connection): void {
    connection.open = false;
    if (connection.received + connection.given === 0) this.#connections.delete(connection);
    const past = [...this.#connections].filter(({ open }) => !open);
    for (const forgotten of past.slice(0, Math.max(0, past.length - PAST_MAX))) this.#connections.delete(forgotten);
  }

  /** Listens to the trackers' answers, once webtorrent has begun to ask them. */
  #count(): void {
    const tracker = this.#torrent?.discovery?.tracker;
    if (this.#counting || !tracker) return;
    this.#counting = true;
    tracker.on('update', ({ announce, complete, incomplete, viewers }) =>
      void this.#sizes.set(announce, viewers ?? complete + incomplete));
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    const events = this.#events;
    this.leave();
    events?.failed(error instanceof Error ? error.message : String(error));
  }
}
