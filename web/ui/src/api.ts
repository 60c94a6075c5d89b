// What the islands ask of the pod, as one interface: `HttpPodApi` is the real client, `test/fake-api.ts` the other one.

import { asArray, asNumber, asObject, asText } from './read.ts';

export interface Friend {
  /** The number that names it in the API. */
  readonly id: number;
  readonly podId: string;
  readonly host: string;
  readonly name: string;
  readonly score: number;
  /** How things stand, as the server puts it. */
  readonly state: string;
}

export interface UploadProgress {
  /** Bytes sent. */
  readonly sent: number;
  /** Bytes to send, forms and all. */
  readonly total: number;
}

export interface Uploaded {
  readonly uuid: string;
  readonly shortUuid: string;
}

export interface PodApi {
  /** Every pod it knows: friends, those that asked or were asked, those that ceased to be. */
  pods(): Promise<readonly Friend[]>;
  /** Sends a video. Aborting the signal stops it; the promise is then rejected with an `AbortError`. */
  upload(form: FormData, onProgress: (progress: UploadProgress) => void, signal: AbortSignal): Promise<Uploaded>;
}

/** The pod said no. The message is the sentence it gave. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
  }
}

/** The sentence in an answer that is not a success: `detail` of RFC 7807, else `error`, else words for the status. */
export function problemText(status: number, body: string): string {
  try {
    const problem = asObject(JSON.parse(body), 'problem');
    for (const key of ['detail', 'error', 'title']) {
      const text = problem[key];
      if (typeof text === 'string' && text !== '') return text;
    }
  } catch {
    // Not JSON: a proxy's page, most likely.
  }
  if (status === 0) return 'The pod cannot be reached. Check the connection and try again.';
  if (status === 413) return 'The file is larger than this pod accepts.';
  return `The pod answered with status ${status}.`;
}

function parseState(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (typeof value === 'object' && value !== null && 'label' in value) return asText(value.label, 'state label');
  return '';
}

export function parseFriends(value: unknown): readonly Friend[] {
  return asArray(asObject(value, 'answer').data, 'data').map((row) => {
    const friend = asObject(row, 'friend');
    return {
      id: asNumber(friend.id, 'id'),
      podId: asText(friend.podId, 'podId'),
      host: asText(friend.host, 'host'),
      name: typeof friend.name === 'string' ? friend.name : '',
      score: asNumber(friend.score, 'score'),
      state: parseState(friend.state),
    };
  });
}

export function parseUploaded(value: unknown): Uploaded {
  const video = asObject(asObject(value, 'answer').video, 'video');
  return { uuid: asText(video.uuid, 'uuid'), shortUuid: asText(video.shortUUID, 'shortUUID') };
}
