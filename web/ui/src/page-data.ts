// What the server tells the player: the other end of `PlayerData` in `web/src/pages/video.rs`.

import { asArray, asNumber, asObject, asText } from './read.ts';

export interface FileSource {
  readonly label: string;
  readonly resolution: number;
  readonly size: number;
  /** Plain HTTP. */
  readonly url: string;
  readonly infoHash: string;
  readonly magnet: string;
  /** The .torrent on this pod. */
  readonly torrentUrl: string;
  /** The origin's web seed. */
  readonly webSeed: string;
  /** The same at pods that keep a copy and answer. */
  readonly mirrors: readonly string[];
}

export interface PlayerData {
  readonly uuid: string;
  readonly duration: number;
  readonly ownHost: string;
  readonly originHost: string;
  /** This pod's tracker first, then the origin's. */
  readonly trackers: readonly string[];
  /** STUN servers: this pod's first, then the origin's. */
  readonly stun: readonly string[];
  /** Peer-to-peer is allowed for this video. */
  readonly p2p: boolean;
  /** Best first. */
  readonly files: readonly FileSource[];
}

function parseFile(value: unknown): FileSource {
  const file = asObject(value, 'file');
  return {
    label: asText(file.label, 'label'),
    resolution: asNumber(file.resolution, 'resolution'),
    size: asNumber(file.size, 'size'),
    url: asText(file.url, 'url'),
    infoHash: asText(file.infoHash, 'infoHash'),
    magnet: asText(file.magnet, 'magnet'),
    torrentUrl: asText(file.torrentUrl, 'torrentUrl'),
    webSeed: asText(file.webSeed, 'webSeed'),
    mirrors: asArray(file.mirrors, 'mirrors').map((mirror) => asText(mirror, 'mirror')),
  };
}

export function parsePlayerData(value: unknown): PlayerData {
  const data = asObject(value, 'page data');
  return {
    uuid: asText(data.uuid, 'uuid'),
    duration: asNumber(data.duration, 'duration'),
    ownHost: asText(data.ownHost, 'ownHost'),
    originHost: asText(data.originHost, 'originHost'),
    trackers: asArray(data.trackers, 'trackers').map((tracker) => asText(tracker, 'tracker')),
    stun: asArray(data.stun, 'stun').map((server) => asText(server, 'server')).filter(isStunServer),
    p2p: data.p2p === true,
    files: asArray(data.files, 'files').map(parseFile),
  };
}

/** Whether a browser takes this for a STUN server; one that it does not take would cost the page all its connections. */
export function isStunServer(server: string): boolean {
  return /^stun:(\[[0-9a-f:.]+\]|[0-9a-z.-]+):\d{1,5}$/i.test(server);
}

/** The data of this page, or nothing when the page has none that can be read. */
export function readPlayerData(root: Document = document): PlayerData | undefined {
  const text = root.getElementById('page-data')?.textContent;
  if (!text) return undefined;
  try {
    return parsePlayerData(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Drops addresses a page may not use: from an https page a browser reaches https and wss alone. */
export function reachable(addresses: readonly string[], pageProtocol: string): string[] {
  const allowed = pageProtocol === 'https:' ? ['https:', 'wss:'] : ['http:', 'https:', 'ws:', 'wss:'];
  const unique = new Set(addresses);
  return [...unique].filter((address) => URL.canParse(address) && allowed.includes(new URL(address).protocol));
}
