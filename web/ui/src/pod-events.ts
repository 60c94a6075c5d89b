// What the pod tells while somebody looks: one stream of hints for the whole page (`web/src/api/events.rs` has their list), open only while the
// page can be seen. Browsers open six connections to a pod, so tabs that nobody looks at hold none.

import { asNumber, asObject, asText } from './read.ts';
import { ARRIVE } from './soft-navigation.ts';

export type Hint =
  /** Something was missed, or much changed: look again at whatever is shown. */
  | { readonly kind: 'look' }
  | { readonly kind: 'friends' }
  /** Somebody wrote, deleted or hid a comment about the video that was asked for. */
  | { readonly kind: 'comments'; readonly id: string }
  | { readonly kind: 'video'; readonly id: string | undefined; readonly change: string; readonly isLocal: boolean }
  /** Who this pod's tracker has in the swarms of the video that was asked for. */
  | { readonly kind: 'swarm'; readonly id: string; readonly count: number };

export function parseHint(kind: string, data: string): Hint | undefined {
  if (kind === 'look' || kind === 'friends') return { kind };
  const fields = asObject(JSON.parse(data), kind);
  if (kind === 'video') return { kind, id: fields.id === null ? undefined : asText(fields.id, 'id'), change: asText(fields.change, 'change'), isLocal: fields.isLocal === true };
  if (kind === 'comments') return { kind, id: asText(fields.id, 'id') };
  if (kind === 'swarm') return { kind, id: asText(fields.id, 'id'), count: asNumber(fields.viewers, 'viewers') };
  return undefined;
}

/** Whether a page was written before the hint that was heard last: it may lack what that one told. Both are `run-number`. */
export function isOlder(page: string, heard: string): boolean {
  const [[run, number], [runHeard, numberHeard]] = [page.split('-'), heard.split('-')];
  return run !== runHeard ? true : Number(number) < Number(numberHeard);
}

export type Listener = (hint: Hint) => void;

/** What a stream of events must be able to do; `EventSource` is one. */
export interface Source extends Pick<EventTarget, 'addEventListener'> {
  readonly readyState: number;
  close(): void;
}

/** A pod that refuses a stream is asked again after so long; until then pages look by themselves, once in that time. */
const AGAIN = 15_000;
const KINDS = ['look', 'friends', 'video', 'comments', 'swarm'] as const;
const CLOSED = 2;

export class PodEvents {
  readonly #open: (url: string) => Source;
  readonly #listeners = new Map<Listener, string | undefined>();
  #source: Source | undefined;
  #url = '';
  #since: string | undefined;
  #settling = false;
  #again: ReturnType<typeof setTimeout> | undefined;

  constructor(open: (url: string) => Source = (url) => new EventSource(url)) {
    this.#open = open;
    document.addEventListener('visibilitychange', () => this.#settle());
    document.addEventListener(ARRIVE, () => this.#arrived());
    window.addEventListener('pagehide', () => this.#close());
    window.addEventListener('pageshow', () => this.#settle());
  }

  /** Tells `listener` of every hint until the returned function is called; with `video`, of its swarms too. */
  listen(listener: Listener, video?: string): () => void {
    this.#listeners.set(listener, video);
    this.#settle();
    return () => {
      this.#listeners.delete(listener);
      this.#settle();
    };
  }

  /** Opens, changes or closes the stream once whoever comes and goes now has come and gone. */
  #settle(): void {
    if (this.#settling) return;
    this.#settling = true;
    queueMicrotask(() => {
      this.#settling = false;
      const video = [...this.#listeners.values()].find((asked) => asked !== undefined);
      const url = this.#listeners.size === 0 || document.hidden ? '' : `/api/v1/events${video === undefined ? '' : `?video=${encodeURIComponent(video)}`}`;
      if (url === this.#url && (this.#source || this.#again !== undefined)) return;
      this.#close();
      this.#url = url;
      if (url !== '') this.#connect();
    });
  }

  #connect(): void {
    const since = this.#since ?? momentOfPage();
    const joint = this.#url.includes('?') ? '&' : '?';
    const source = this.#open(since === undefined ? this.#url : `${this.#url}${joint}since=${encodeURIComponent(since)}`);
    this.#source = source;
    for (const kind of ['here', ...KINDS]) source.addEventListener(kind, (event) => this.#heard(kind, event as MessageEvent<string>));
    source.addEventListener('error', () => {
      // While it is not closed the browser tries again by itself.
      if (source !== this.#source || source.readyState !== CLOSED) return;
      this.#close();
      this.#again = setTimeout(() => {
        this.#again = undefined;
        this.#tell({ kind: 'look' });
        this.#settle();
      }, AGAIN);
    });
  }

  /** A page that was on its way while a hint came knows nothing of it, and its parts did not listen yet. */
  #arrived(): void {
    const page = momentOfPage();
    if (page !== undefined && this.#since !== undefined && isOlder(page, this.#since)) this.#tell({ kind: 'look' });
  }

  #heard(kind: string, event: MessageEvent<string>): void {
    if (event.lastEventId !== '') this.#since = event.lastEventId;
    try {
      const hint = parseHint(kind, event.data);
      if (hint) this.#tell(hint);
    } catch {
      // A newer pod says it in another way; a hint is only a hint.
    }
  }

  #tell(hint: Hint): void {
    for (const listener of [...this.#listeners.keys()]) listener(hint);
  }

  #close(): void {
    clearTimeout(this.#again);
    this.#again = undefined;
    this.#source?.close();
    this.#source = undefined;
    this.#url = '';
  }
}

/** When the page was written, as the pod counts. */
function momentOfPage(): string | undefined {
  const moment = document.querySelector<HTMLElement>('main')?.dataset.moment;
  return moment === '' ? undefined : moment;
}

/** The stream of this page. */
export const podEvents = new PodEvents();
