import { afterEach, expect, test, vi } from 'vitest';

import golden from '../fixtures/api.json';
import { ApiError, parseLatest, parseUploaded, problemText } from '../src/api.ts';
import { HttpPodApi } from '../src/api-http.ts';

afterEach(() => vi.unstubAllGlobals());

test('the latest videos are read from the list of the API', () => {
  expect(parseLatest(golden.videos)).toEqual(['kkGMgK9ZtnKfYAgnEtQxbv', '8QpzqfM1WBGAkYdNkN6rAD']);
});

test('a list of another shape is refused with the place that is wrong', () => {
  expect(() => parseLatest({ data: [{ shortUUID: 7 }] })).toThrow('shortUUID is not a text');
  expect(() => parseLatest(undefined)).toThrow('answer is not an object');
});

test('an upload is answered with the names of the video', () => {
  expect(parseUploaded(golden.upload)).toEqual({ uuid: '9c9de5e8-0a1e-484a-b099-e80766180a6d', shortUuid: 'kkGMgK9ZtnKfYAgnEtQxbv' });
});

test('a problem is told in the words of the pod, or in words for its status', () => {
  expect(problemText(400, JSON.stringify(golden.problem))).toBe('host `nowhere` has no pod');
  expect(problemText(502, '<html>')).toBe('The pod answered with status 502.');
  expect(problemText(413, '')).toBe('The file is larger than this pod accepts.');
  expect(problemText(0, '')).toContain('cannot be reached');
});

function answer(status: number, body: string): { requests: Array<[string, RequestInit]> } {
  const requests: Array<[string, RequestInit]> = [];
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    requests.push([url, init]);
    return Promise.resolve(new Response(status === 204 ? null : body, { status }));
  });
  return { requests };
}

test('the latest videos are asked for, of one kind or of all', async () => {
  const { requests } = answer(200, '{"total":0,"data":[]}');
  const api = new HttpPodApi(() => 'token');
  expect(await api.latest()).toEqual([]);
  await api.latest(false);
  const path = '/api/v1/videos?sort=-publishedAt&count=24';
  expect(requests.map(([url, init]) => [init.method, url])).toEqual([['GET', path], ['GET', `${path}&isLocal=false`]]);
});

test('a refusal becomes an error with the status and the sentence', async () => {
  answer(400, JSON.stringify(golden.problem));
  const error = await new HttpPodApi(() => '').latest().catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ApiError);
  expect((error as ApiError).status).toBe(400);
  expect((error as ApiError).message).toBe('host `nowhere` has no pod');
});

test('a pod that is away is said to be away', async () => {
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
  await expect(new HttpPodApi(() => '').latest()).rejects.toThrow('cannot be reached');
});
