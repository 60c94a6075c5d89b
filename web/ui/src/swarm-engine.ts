// One video in the swarm: a webtorrent client, its torrent, and who brought what. It decides nothing about the player.

import type { SourceAccount } from './accounting.ts';
import type { FileSource } from './page-data.ts';
import { type Client, type Torrent, type Wire, answerOnlyFor, clientOptions, loadClient, loadTorrent, loadWorker } from './webtorrent.ts';

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
  readonly #account: SourceAccount;
  readonly #events: EngineEvents;
  readonly #connections = new Set<Connection>();
  #client: Client | undefined;
  #torrent: Torrent | undefined;
  #swarmSize = 0;
  #counting = false;
  #over = false;
  #wanted = false;
  #seeded = false;

  constructor(account: SourceAccount, events: EngineEvents) {
    this.#account = account;
    this.#events = events;
  }

  get connections(): readonly Connection[] {
    return [...this.#connections];
  }

  /** Everybody in the swarm, this page included, as the last answer of a tracker has it; 0 before the first. */
  get swarmSize(): number {
    this.#count();
    return this.#swarmSize;
  }

  /** How much of the file is here, 0 to 1. */
  get progress(): number {
    return this.#torrent?.progress ?? 0;
  }

  /** Joins the swarm of `file`. Failures arrive as `failed`, whenever they happen. */
  async join(file: FileSource, trackers: readonly string[]): Promise<void> {
    try {
      const [WebTorrent, controller, metainfo] = await Promise.all([loadClient(), loadWorker(), loadTorrent(file.torrentUrl)]);
      if (this.#over) return;
      const client = new WebTorrent(clientOptions(trackers));
      this.#client = client;
      client.on('error', (error) => this.#fail(error));
      answerOnlyFor([file], navigator.serviceWorker);
      client.createServer({ controller });
      const torrent = client.add(metainfo, { announce: trackers, deselect: true });
      this.#torrent = torrent;
      torrent.on('error', (error) => this.#fail(error));
      torrent.on('warning', () => {
        // A tracker that is down for a moment, a web seed that times out: webtorrent goes on by itself.
      });
      torrent.on('wire', (wire) => this.#connected(wire));
      torrent.once('ready', () => {
        const [first] = torrent.files;
        if (this.#over) return;
        if (torrent.infoHash.toLowerCase() !== file.infoHash.toLowerCase()) return this.#fail(new Error('the torrent is not the one that was signed'));
        if (!first) return this.#fail(new Error('the torrent holds no file'));
        if (this.#wanted) first.select();
        this.#events.ready(first.streamURL);
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
    this.#connections.clear();
    this.#swarmSize = 0;
    this.#torrent = undefined;
    const client = this.#client;
    this.#client = undefined;
    try {
      client?.destroy();
    } catch {
      // It was broken already.
    }
  }

  #connected(wire: Wire): void {
    const connection: Connection = { kind: kindOf(wire), received: 0, given: 0, open: true };
    this.#connections.add(connection);
    wire.on('download', (bytes) => {
      connection.received += bytes;
      this.#account.received(connection.kind, bytes);
    });
    wire.on('upload', (bytes) => {
      connection.given += bytes;
      this.#account.gave(bytes);
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
    const sizes = new Map<string, number>();
    tracker.on('update', ({ announce, complete, incomplete }) => {
      sizes.set(announce, complete + incomplete);
      this.#swarmSize = Math.max(...sizes.values());
    });
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.leave();
    this.#events.failed(error instanceof Error ? error.message : String(error));
  }
}
