import { expect, test } from 'vitest';

import { KeptVideos, MOST_BYTES, MOST_VIDEOS, sharingText } from '../src/kept-videos.ts';

class Video {
  state = 'watched';
  readonly file: { infoHash: string };
  readonly account = { totals: () => ({ uploaded: 100 }) };
  readonly held: number;

  constructor(infoHash: string, held = 1000) {
    this.file = { infoHash };
    this.held = held;
  }

  ended: () => void = () => undefined;

  rest(ended: () => void) {
    this.state = 'kept';
    this.ended = ended;
  }

  leave() {
    this.state = 'left';
  }
}

test('what was watched is kept until it is watched again', () => {
  const kept = new KeptVideos<Video>();
  const video = new Video('a');
  kept.keep(video);
  expect([video.state, kept.count, kept.given]).toEqual(['kept', 1, 100]);
  expect(kept.take('b')).toBeUndefined();
  expect(kept.take('a')).toBe(video);
  expect(kept.count).toBe(0);
});

test('a video of which nothing is here is left', () => {
  const kept = new KeptVideos<Video>();
  const video = new Video('a', 0);
  kept.keep(video);
  expect([video.state, kept.count]).toEqual(['left', 0]);
});

test('the oldest goes when there are too many, or too many bytes', () => {
  const kept = new KeptVideos<Video>();
  const videos = Array.from({ length: MOST_VIDEOS + 1 }, (_, index) => new Video(String(index)));
  for (const video of videos) kept.keep(video);
  expect(videos.map(({ state }) => state)).toEqual(['left', ...Array.from({ length: MOST_VIDEOS }, () => 'kept')]);
  const large = new Video('large', MOST_BYTES);
  kept.keep(large);
  expect([large.state, kept.count]).toEqual(['kept', 1]);
  const larger = new Video('larger', MOST_BYTES + 1);
  kept.keep(larger);
  expect([larger.state, large.state]).toEqual(['left', 'kept']);
});

test('a swarm that breaks by itself is no longer counted', () => {
  const kept = new KeptVideos<Video>();
  const [video, another] = [new Video('a'), new Video('b')];
  kept.keep(video);
  kept.keep(another);
  video.ended();
  expect([kept.count, another.state]).toEqual([1, 'kept']);
});

test('stopping leaves all of them, and says so', () => {
  const kept = new KeptVideos<Video>();
  const videos = [new Video('a'), new Video('b')];
  for (const video of videos) kept.keep(video);
  let told = 0;
  kept.addEventListener('change', () => (told += 1));
  kept.stop();
  expect([told, kept.count, ...videos.map(({ state }) => state)]).toEqual([1, 0, 'left', 'left']);
});

test('the chip counts', () => {
  expect(sharingText(1, 0)).toBe('Sharing 1 video you watched');
  expect(sharingText(3, 1_400_000)).toBe('Sharing 3 videos you watched · 1.4 MB given');
});
