import { afterEach, expect, test, vi } from 'vitest';

import golden from '../fixtures/api.json';
import { ApiError, parseFriends, parseUploaded, problemText } from '../src/api.ts';
import { HttpPodApi } from '../src/api-http.ts';

afterEach(() => vi.unstubAllGlobals());

test('friends are read from the list of the API', () => {
  const friends = parseFriends(golden.pods);
  expect(friends.map(({ id, host, score, state }) => [id, host, score, state])).toEqual([
    [1, 'localhost:9002', 30, 'In sync'],
    [2, 'localhost:9003', 20, 'Catching up: 1 of 3'],
  ]);
});

test('a list of another shape is refused with the place that is wrong', () => {
  expect(() => parseFriends({ data: [{ id: 'one' }] })).toThrow('id is not a number');
  expect(() => parseFriends(undefined)).toThrow('answer is not an object');
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

test('all pods are asked for, not friends alone: one that asks to be a friend is news too', async () => {
  const { requests } = answer(200, '{"total":0,"data":[]}');
  expect(await new HttpPodApi(() => 'token').pods()).toEqual([]);
  expect(requests.map(([url, init]) => [init.method, url])).toEqual([['GET', '/api/v1/pods?state=all&count=100']]);
});

test('a refusal becomes an error with the status and the sentence', async () => {
  answer(400, JSON.stringify(golden.problem));
  const error = await new HttpPodApi(() => '').pods().catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ApiError);
  expect((error as ApiError).status).toBe(400);
  expect((error as ApiError).message).toBe('host `nowhere` has no pod');
});

test('a pod that is away is said to be away', async () => {
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
  await expect(new HttpPodApi(() => '').pods()).rejects.toThrow('cannot be reached');
});
