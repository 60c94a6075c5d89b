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

test('a page may load from the pods that have a copy, by their names, and from nobody else', async () => {
  const [pod, mirror, origin] = net.pods;
  // The origin died in the first test; the second pod has the copy, and so has this one from now on.
  const { data } = await pod.json('/api/v1/videos?search=Kept%20by%20a%20friend');
  const [video] = data;
  assert.ok(video, 'the video is still listed');
  await administer(pod, `/api/v1/mirrors/videos/${video.uuid}`, 'PUT');
  await eventually('the copy here is whole', async () => {
    const copies = (await administer(pod, '/api/v1/mirrors')).data;
    if (copies.find((copy) => copy.video.uuid === video.uuid)?.state !== 'whole') throw new Error(JSON.stringify(copies));
    return true;
  }, 60_000);
  const answer = await fetch(`${pod.url}/w/${video.shortUUID}`);
  const policy = Object.fromEntries(answer.headers.get('content-security-policy').split(';').map((part) => {
    const [name, ...sources] = part.trim().split(' ');
    return [name, sources.sort()];
  }));
  assert.deepEqual(policy['media-src'], ["'self'", 'blob:', ...[pod, mirror, origin].map(({ url }) => url)].sort());
  const sockets = [pod, origin].map(({ url }) => url.replace('http', 'ws'));
  assert.deepEqual(policy['connect-src'], ["'self'", ...[pod, mirror, origin].map(({ url }) => url), ...sockets].sort());

  // Who comes by another name of this pod is served by the copies all the same.
  const other = pod.url.replace('localhost', '127.0.0.1');
  const { page, context, complaints } = await openPage(browser);
  await page.goto(`${other}/w/${video.shortUUID}`);
  await eventually('it plays', async () => {
    if ((await playing(page)).paused) await start(page);
    return (await playing(page)).time > 1;
  }, 60_000);
  assert.deepEqual(complaints.filter((complaint) => /content security policy/i.test(complaint)), []);
  await context.close();
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

/** Logs in as an administrator and goes on to a page. */
async function logIn(page, pod, path) {
  await page.goto(`${pod.url}/login?next=${encodeURIComponent(path)}`);
  await page.getByLabel(/user/i).fill('root');
  await page.getByLabel(/password/i).fill(pod.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.waitForURL((url) => url.pathname === path);
}

for (const javaScriptEnabled of [true, false]) {
  test(`a copy is kept and let go on the page of the video, ${javaScriptEnabled ? 'which plays on' : 'without scripts too'}`, async () => {
    const [pod, friend] = net.pods;
    const video = await friend.upload(clips.mp4(), `Kept from its page ${javaScriptEnabled}`);
    await eventually('the pod knows the video', () => pod.json(`/api/v1/videos/${video.uuid}`));
    const { page, context, complaints } = await openPage(browser, { javaScriptEnabled });
    await logIn(page, pod, `/w/${video.shortUUID}`);
    const form = page.getByRole('form', { name: 'A copy on this pod' });
    const state = form.getByRole('status');
    if (javaScriptEnabled) {
      await page.evaluate(() => { document.querySelector('video').stays = true; });
    }
    const shows = async (text) => {
      if (!javaScriptEnabled) await page.reload();
      return (await state.innerText()).includes(text);
    };
    assert.equal(await state.innerText(), '');
    await form.getByRole('button', { name: 'Keep a copy' }).click();
    await form.getByRole('button', { name: 'Keep no copy' }).waitFor();
    await eventually('it is whole, and the page says so', () => shows('Whole, and served to viewers'), 60_000);
    const there = () => fetch(`${pod.url}/static/webseed/${video.uuid}-360.mp4`, { method: 'HEAD' });
    assert.equal((await there()).status, 200, 'this pod has it');
    await form.getByRole('button', { name: 'Keep no copy' }).click();
    await form.getByRole('button', { name: 'Keep a copy' }).waitFor();
    await eventually('it is gone', async () => (await there()).status === 404);
    await eventually('and the page says nothing more', async () => {
      if (!javaScriptEnabled) await page.reload();
      return (await state.innerText()) === '';
    });
    if (javaScriptEnabled) assert.ok(await page.evaluate(() => document.querySelector('video').stays), 'the page was not left');
    assert.deepEqual(complaints, []);
    await context.close();
  });
}

test('only administrators are offered a copy, and nobody one of what is here', async () => {
  const [pod, friend] = net.pods;
  const [theirs, own] = [await friend.upload(clips.mp4(), 'Of a friend'), await pod.upload(clips.mp4(), 'Of this pod')];
  await eventually('the pod knows the video', () => pod.json(`/api/v1/videos/${theirs.uuid}`));
  const visitor = await openPage(browser);
  await visitor.page.goto(`${pod.url}/w/${theirs.shortUUID}`);
  assert.equal(await visitor.page.getByRole('button', { name: 'Keep a copy' }).count(), 0);
  const refused = await visitor.page.request.post(`${pod.url}/w/${theirs.uuid}/keep`, { maxRedirects: 0 });
  assert.equal(refused.status(), 303, 'a visitor is led to the login');
  await logIn(visitor.page, pod, `/w/${own.shortUUID}`);
  assert.equal(await visitor.page.getByRole('button', { name: 'Keep a copy' }).count(), 0);
  await visitor.context.close();
});
