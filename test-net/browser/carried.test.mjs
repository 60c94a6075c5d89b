// Who carries a video: what two browsers hand each other is told to the pod, adds up, and shows on the page.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { openBrowser, openPage, playing } from './browser.mjs';
import { Clips, eventually, startNet } from './net.mjs';

let net;
let clips;
let browsers;

before(async () => {
  clips = new Clips();
  net = await startNet(1, { friends: false });
  browsers = await Promise.all([openBrowser(), openBrowser()]);
});

after(async () => {
  await Promise.all((browsers ?? []).map((browser) => browser.close()));
  await net?.stop();
  clips?.remove();
});

const start = (page) => page.evaluate(() => void document.querySelector('video').play().catch(() => {}));
const line = async (page) => (await page.locator('.carried-all').innerText()).replace(/\s+/g, ' ');

const whole = (page) => async () => (await playing(page)).stats?.progress === 1;
const carried = async (pod, video) => (await pod.json(`/api/v1/videos/${video.uuid}`)).carried;

test('what goes between two browsers is told to the pod and shown', async () => {
  const pod = net.pod(1);
  const video = await pod.upload(clips.mp4(12), 'Carried by two');
  const { files: [{ size }] } = await pod.json(`/api/v1/videos/${video.uuid}`);
  const first = await openPage(browsers[0]);
  await first.page.goto(`${pod.url}/w/${video.shortUUID}`);
  assert.match(await line(first.page), /^All viewers so far – from each other, of 0 B$/);
  await start(first.page);
  await eventually('the first browser has everything', whole(first.page));

  // The second one gets nothing by HTTP, so that it has to ask who is in the swarm.
  const second = await openPage(browsers[1]);
  await second.context.route('**/static/webseed/**', (route) => route.abort());
  await second.page.goto(`${pod.url}/w/${video.shortUUID}`);
  await eventually('the second browser has everything', async () => {
    if ((await playing(second.page)).paused) await start(second.page);
    return whole(second.page)();
  }, 90_000);
  const told = await eventually('both told the pod, every byte once', async () => {
    const [giving, getting] = [(await playing(first.page)).stats, (await playing(second.page)).stats];
    assert.ok(getting.fromPeers > 0, `from the other viewer: ${JSON.stringify(getting)}`);
    // At the end a piece may be asked of two who have it, and both may send it.
    assert.ok(getting.fromPeers + getting.fromPods >= size, `all of it: ${JSON.stringify(getting)}`);
    const found = await carried(pod, video);
    const { fromViewers, fromPods, given } = found.viewers;
    if (fromViewers !== giving.fromPeers + getting.fromPeers || given !== giving.uploaded + getting.uploaded || fromPods !== giving.fromPods + getting.fromPods) throw new Error(JSON.stringify({ found, giving, getting }));
    return found;
  });
  assert.ok(told.webSeed > 0, `the pod says itself what it gave: ${JSON.stringify(told)}`);
  const byPods = Math.max(told.webSeed + told.webrtc + told.tcp, told.viewers.fromPods);
  const all = byPods + told.viewers.fromViewers;
  assert.ok(Math.abs(told.share - told.viewers.fromViewers / all) < 0.001, JSON.stringify(told));

  // The page that told the last has the newest line; one that is opened now has it from the server, with and without scripts.
  const share = `${Math.max(1, Math.round((100 * told.viewers.fromViewers) / all))}%`;
  await eventually('the page shows it', async () => (await line(second.page)).includes(share));
  const plain = await openPage(browsers[0], { javaScriptEnabled: false });
  // In this order: the page of the video asks for the beginning of it, which counts.
  await plain.page.goto(`${pod.url}/network`);
  const figure = await plain.page.locator('#carried').innerText();
  assert.ok(figure.includes(share), figure);
  await plain.page.goto(`${pod.url}/w/${video.shortUUID}`);
  assert.ok((await line(plain.page)).includes(share), await line(plain.page));

  // A page that is left tells what it has not told yet, and what was told before is not told again.
  await Promise.all([first, second].map(({ context }) => context.close()));
  const after = await carried(pod, video);
  assert.equal(after.viewers.fromViewers, told.viewers.fromViewers);
});
