// The upload form as the API wants it. Pure but for FormData.

/** At most so many tags, as the API has it. */
const MOST_TAGS = 5;

export function splitTags(text: string): string[] {
  const tags = text.split(',').map((tag) => tag.trim()).filter((tag) => tag !== '');
  return [...new Set(tags)].slice(0, MOST_TAGS);
}

/** Fields that are empty are left out, tags become a list, and the file comes last, so that the pod knows the rest before the bytes. */
export function apiForm(form: FormData): FormData {
  const out = new FormData();
  let file: File | undefined;
  for (const [name, value] of form) {
    if (value instanceof File) file = value;
    else if (name === 'tags') for (const tag of splitTags(value)) out.append('tags[]', tag);
    else if (name !== 'csrf' && value !== '') out.append(name, value);
  }
  if (file) out.append('videofile', file, file.name);
  return out;
}

/** A title from a file's name: `river-kayak_2.mp4` → `river kayak 2`. */
export function titleFrom(fileName: string): string {
  return fileName.replace(/\.[^.]{1,5}$/, '').replace(/[_-]+/g, ' ').trim().slice(0, 120);
}

/** The rate and time left of a transfer, smoothed so that they can be read. */
export class Pace {
  #last: { at: number; sent: number } | undefined;
  #rate = 0;

  /** Notes `sent` bytes at `now` (milliseconds) and returns bytes a second. */
  note(sent: number, now: number): number {
    if (!this.#last) this.#last = { at: now, sent };
    const seconds = (now - this.#last.at) / 1000;
    if (seconds >= 0.25) {
      const current = (sent - this.#last.sent) / seconds;
      this.#rate = this.#rate === 0 ? current : this.#rate * 0.7 + current * 0.3;
      this.#last = { at: now, sent };
    }
    return this.#rate;
  }
}
