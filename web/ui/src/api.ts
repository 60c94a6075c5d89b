// What the islands ask of the pod, as one interface: `HttpPodApi` is the real client, `test/fake-api.ts` the other one.

import type { Told } from './carried-report.ts';
import { asArray, asNumber, asObject, asText } from './read.ts';

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

export interface Report {
  /** In words, 2 to 300 characters. */
  readonly reason: string;
  /** One of the API's names of reasons, or nothing. */
  readonly kind: string;
  /** The comment that is meant, if it is not the video. */
  readonly comment: string | undefined;
}

/** Who carried a video, in bytes. */
export interface Carried {
  /** Sent by this pod. */
  readonly webSeed: number;
  readonly webrtc: number;
  readonly tcp: number;
  /** What viewers told. */
  readonly viewers: { readonly fromViewers: number; readonly fromPods: number };
}

export interface PodApi {
  /** The short ids of the latest videos, newest first, at most a page of them: of this pod, of friends, or of all. */
  latest(isLocal?: boolean): Promise<readonly string[]>;
  /** Says that a video was watched, and where the player is, in seconds. */
  view(uuid: string, seconds: number): Promise<void>;
  /** Says what this page got and gave of a video since it last said so; answers what is known of all. Goes on when the page is left. */
  carried(uuid: string, told: Told): Promise<Carried>;
  /** Keeps a copy of a friend's video on this pod from now on, or no more. */
  keepCopy(uuid: string, keep: boolean): Promise<void>;
  /** Says what the person logged in thinks of a video: `like`, `dislike` or `none`. */
  rate(uuid: string, rating: string): Promise<void>;
  /** Writes a comment about a video, in answer to another one if `to` names it; gives its uuid. */
  comment(video: string, text: string, to?: string): Promise<string>;
  /** Deletes a comment, or hides it. Goes on when the page is left. */
  deleteComment(video: string, id: string): Promise<void>;
  /** Tells the people who answer for a video what is wrong with it, or with a comment about it. */
  report(video: string, report: Report): Promise<void>;
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

export function parseLatest(value: unknown): readonly string[] {
  return asArray(asObject(value, 'answer').data, 'data').map((row) => asText(asObject(row, 'video').shortUUID, 'shortUUID'));
}

export function parseCommented(value: unknown): string {
  return asText(asObject(asObject(value, 'answer').comment, 'comment').uuid, 'uuid');
}

export function parseCarried(value: unknown): Carried {
  const carried = asObject(asObject(value, 'answer').carried, 'carried');
  const number = (name: string) => asNumber(carried[name], name);
  const sent = { webSeed: number('webSeed'), webrtc: number('webrtc'), tcp: number('tcp') };
  const viewers = asObject(carried.viewers, 'viewers');
  return { ...sent, viewers: { fromViewers: asNumber(viewers.fromViewers, 'fromViewers'), fromPods: asNumber(viewers.fromPods, 'fromPods') } };
}

export function parseUploaded(value: unknown): Uploaded {
  const video = asObject(asObject(value, 'answer').video, 'video');
  return { uuid: asText(video.uuid, 'uuid'), shortUuid: asText(video.shortUUID, 'shortUUID') };
}
