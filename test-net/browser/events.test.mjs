// What changes while somebody looks: the stream itself, and what pages make of it.

import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { after, before, test } from 'node:test';

import { openBrowser, openPage } from './browser.mjs';
import { FURTHER_RULES, SCREENS, look } from './look.mjs';
import { Clips, eventually, startNet } from './net.mjs';

let net;
let clips;
let browser;

before(async () => {
  clips = new Clips();
  [net, browser] = await Promise.all([startNet(2), openBrowser()]);
  await net.pod(1).upload(clips.mp4(3), 'The first one');
  await eventually('pod 2 has it', async () => (await net.pod(2).json('/api/v1/videos')).total === 1);
});

after(async () => {
  await browser?.close();
  await net?.stop();
  clips?.remove();
});

/** A stream of events as a program hears it. */
async function hear(pod, { query = '', headers = {} } = {}) {
  const stop = new AbortController();
  const answer = await fetch(`${pod.url}/api/v1/events${query}`, { headers, signal: stop.signal });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /^text\/event-stream/);
  const heard = { events: [], text: '', ended: false, stop: () => stop.abort() };
  (async () => {
    const decoder = new TextDecoder();
    let rest = '';
    for await (const bytes of answer.body) {
      const text = decoder.decode(bytes, { stream: true });
      heard.text += text;
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split('\n').filter((line) => !line.startsWith(':')).map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
        if (fields.event) heard.events.push({ kind: fields.event, id: fields.id, data: JSON.parse(fields.data) });
      }
    }
  })().catch(() => {}).finally(() => (heard.ended = true));
  await eventually('it is open', () => heard.events.some(({ kind }) => kind === 'here'));
  return heard;
}

const of = (heard, kind) => heard.events.filter((event) => event.kind === kind);

test('a video is told to everybody, an unlisted one to its owner alone, and a removal', async () => {
  const [near, far] = [await hear(net.pod(1)), await hear(net.pod(2))];
  const owner = await hear(net.pod(1), { headers: { authorization: `Bearer ${await net.pod(1).token()}` } });
  const secret = await net.pod(1).upload(clips.mp4(3), 'Who has the link', { privacy: '2' });
  const open = await net.pod(1).upload(clips.mp4(3), 'For everybody');
  await eventually('here', () => of(near, 'video').length > 0);
  await eventually('and there', () => of(far, 'video').length > 0);
  assert.deepEqual(of(near, 'video').map(({ data }) => data), [{ id: open.uuid, change: 'published', isLocal: true }]);
  assert.deepEqual(of(far, 'video').map(({ data }) => data), [{ id: open.uuid, change: 'published', isLocal: false }]);
  assert.deepEqual(of(owner, 'video').map(({ data }) => data.id), [secret.uuid, open.uuid]);
  for (const stranger of [near, far]) assert.ok(!stranger.text.includes(secret.uuid), 'not a word of the other one');
  await net.pod(1).remove(open);
  await eventually('it is gone there', () => of(far, 'video').some(({ data }) => data.id === open.uuid && data.change === 'removed'));
  for (const heard of [near, far, owner]) heard.stop();
});

test('who returns is told to look when something changed, and not when nothing did', async () => {
  const latest = (heard) => of(heard, 'here')[0].id;
  const first = await hear(net.pod(1));
  let id = latest(first);
  first.stop();
  // What the test before did may still be on its way round; it is quiet once nothing happened between two visits.
  await eventually('nothing happened meanwhile', async () => {
    const same = await hear(net.pod(1), { headers: { 'last-event-id': id } });
    id = latest(same);
    same.stop();
    return of(same, 'look').length === 0;
  });
  await net.pod(1).upload(clips.mp4(3), 'Meanwhile');
  for (const options of [{ headers: { 'last-event-id': id } }, { query: `?since=${id}` }, { query: '?since=1-0' }]) {
    const later = await hear(net.pod(1), options);
    await eventually('look again', () => of(later, 'look').length === 1);
    later.stop();
  }
});

test('a stream that nothing happens on shows that it lives, for longer than a slow reader is borne with', async () => {
  const heard = await hear(net.pod(1));
  // As a proxy would ask.
  const proxy = connect(net.pod(1).url);
  const stream = proxy.request({ ':path': '/api/v1/events' });
  const over = { text: '', ended: false };
  stream.setEncoding('utf8').on('data', (text) => (over.text += text)).on('error', () => {}).on('close', () => (over.ended = true));
  for (const told of [heard, over]) {
    await eventually('two signs of life', () => (told.text.match(/^:/gm) ?? []).length >= 3, 60_000);
    assert.equal(told.ended, false);
  }
  stream.close();
  proxy.close();
  heard.stop();
});

test('one address has so many ears and no more, and they are free again', async () => {
  const listeners = async () => Number(/^seedpod_web_listeners (\d+)$/m.exec(await (await fetch(`${net.pod(1).url}/metrics`)).text())[1]);
  await eventually('nobody listens any more', async () => (await listeners()) === 0);
  const streams = [];
  let refused;
  for (let count = 0; count < 100 && !refused; count += 1) {
    const stop = new AbortController();
    const answer = await fetch(`${net.pod(1).url}/api/v1/events`, { signal: stop.signal });
    if (answer.status === 429) refused = count;
    else streams.push(stop);
  }
  assert.equal(refused, 64);
  for (const stop of streams) stop.abort();
  await eventually('all places are free', async () => (await listeners()) === 0);
});

test('the list says what is new, moves nothing, and shows it when asked', async () => {
  for (const [screen, options] of Object.entries(SCREENS)) {
    const opened = await openPage(browser, options);
    const { page } = opened;
    await page.goto(net.pod(2).url);
    const first = page.locator('.card h2').first();
    const [title, place] = [await first.textContent(), await first.boundingBox()];
    const name = `New on ${screen}`;
    await net.pod(1).upload(clips.mp4(3), name);
    const pill = page.getByRole('button', { name: '1 new video' });
    await pill.waitFor();
    assert.equal(await first.textContent(), title, 'the list is as it was');
    assert.deepEqual(await first.boundingBox(), place, 'and where it was');
    await look(opened, `new-videos-${screen}`, net.pods, { rules: FURTHER_RULES[screen], fullPage: false });
    await pill.click();
    await page.locator('.card h2').first().getByText(name).waitFor();
    await pill.waitFor({ state: 'detached' });
    await opened.context.close();
  }
});

test('my videos and the watch page follow', async () => {
  const { page, context } = await openPage(browser);
  const pod = net.pod(1);
  await page.goto(`${pod.url}/login`);
  await page.getByLabel('User name').fill('root');
  await page.getByLabel('Password').fill(pod.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.waitForURL(`${pod.url}/`);
  await page.goto(`${pod.url}/my/videos`);
  const video = await pod.upload(clips.mp4(5), 'Elsewhere, unlisted', { privacy: '2' });
  await page.getByRole('link', { name: 'Elsewhere, unlisted', exact: true }).waitFor();

  await page.goto(`${pod.url}/w/${video.shortUUID}`);
  await page.getByText('1 watching, incl. you').waitFor();
  const other = await openPage(browser);
  await other.page.goto(`${pod.url}/w/${video.shortUUID}`);
  await page.getByText('2 watching, incl. you').waitFor();
  await other.context.close();
  await page.getByText('1 watching, incl. you').waitFor();
  await context.close();
});

test('the network page follows a friend that goes, and the stream ends when its pod does', async () => {
  const heard = await hear(net.pod(2));
  const watching = await hear(net.pod(1));
  const { page, context } = await openPage(browser);
  await page.goto(`${net.pod(1).url}/network`);
  await page.getByRole('table').getByText('In sync').waitFor();
  // In order, as an operator would.
  process.kill(net.pod(2).pid, 'SIGTERM');
  await eventually('the stream of the pod that stops ends', () => heard.ended);
  await eventually('the other is told', () => of(watching, 'friends').length > 0, 60_000);
  await page.getByText('Unreachable').first().waitFor({ timeout: 60_000 });
  watching.stop();
  await context.close();
});
