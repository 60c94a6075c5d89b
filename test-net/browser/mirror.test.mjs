// A copy on a friend's pod: the origin dies in the middle of playback, and the video plays to its end.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { openBrowser, openPage, playing, slowDown } from './browser.mjs';
import { Clips, eventually, startNet } from './net.mjs';

let net;
let clips;
let browser;

before(async () => {
  clips = new Clips();
  [net, browser] = await Promise.all([startNet(3), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await net?.stop();
  clips?.remove();
});

const start = (page) => page.evaluate(() => void document.querySelector('video').play().catch(() => {}));

/** What an administrator of a pod asks of its API. */
async function administer(pod, path, method = 'GET') {
  const answer = await fetch(pod.url + path, { method, headers: { authorization: `Bearer ${await pod.token()}` } });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? undefined : answer.json();
}

test('a video plays on when its origin dies, from the copy of another pod', async () => {
  const [watching, mirror, origin] = net.pods;
  const video = await origin.upload(clips.weighty(), 'Kept by a friend');
  await eventually('the mirror knows the video', () => mirror.json(`/api/v1/videos/${video.uuid}`));
  await administer(mirror, `/api/v1/mirrors/videos/${video.uuid}`, 'PUT');
  await eventually('the copy is whole', async () => {
    const { data } = await administer(mirror, '/api/v1/mirrors');
    if (data[0]?.state !== 'whole') throw new Error(JSON.stringify(data));
    return true;
  }, 60_000);
  await eventually('the page names the mirror', async () => (await (await fetch(`${watching.url}/w/${video.shortUUID}`)).text()).includes(`${mirror.url}/static/webseed/`));

  const opened = await openPage(browser);
  const { page, hosts } = opened;
  // As on a thin line, so that the middle is a while away from the end.
  const hurry = await slowDown(opened, 4_000_000);
  await page.goto(`${watching.url}/w/${video.shortUUID}`);
  await start(page);
  await eventually('it plays', async () => (await playing(page)).time > 1);
  const before = await playing(page);
  assert.ok(before.time < 8, `still in the middle: ${before.time}`);

  origin.kill();
  await hurry();
  const finished = await eventually('it plays to the end', async () => {
    const shown = await playing(page);
    // Chromium takes no play for an answer while the origin's address has just failed; a person presses it again.
    if (shown.paused && !shown.ended) await start(page);
    if (!shown.ended) throw new Error(JSON.stringify(shown));
    return shown;
  }, 60_000);
  assert.equal(finished.error, null);
  assert.ok(hosts.has(new URL(mirror.url).host), `the mirror was asked: ${[...hosts]}`);
  const pods = new Set(net.pods.map((pod) => new URL(pod.url).host));
  assert.deepEqual([...hosts].filter((host) => !pods.has(host)), [], 'hosts that are no pods');
});

test('copies can be chosen and let go on the network page, and it shows how far they are', async () => {
  const [pod, friend] = net.pods;
  const video = await friend.upload(clips.mp4(), 'Chosen on the page');
  await eventually('the pod knows the video', () => pod.json(`/api/v1/videos/${video.uuid}`));
  const { page, context, complaints } = await openPage(browser);
  await page.goto(`${pod.url}/login?next=%2Fnetwork`);
  await page.getByLabel(/user/i).fill('root');
  await page.getByLabel(/password/i).fill(pod.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByLabel(/Keep one video/).fill(`${pod.url}/w/${video.shortUUID}`);
  await page.getByRole('button', { name: 'Keep a copy' }).click();
  const row = page.locator(`[data-copy="${video.uuid}"]`);
  await eventually('it is whole, and the page says so by itself', async () => (await row.innerText()).includes('Whole'));
  await row.getByRole('button', { name: /Keep .* no more/ }).click();
  await eventually('it is gone', async () => (await row.count()) === 0);
  assert.deepEqual(complaints, []);
  await context.close();
});
