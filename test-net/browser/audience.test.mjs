// Views and ratings as people make them: by watching, and by two buttons, with scripts and without.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { openBrowser, openPage, playing } from './browser.mjs';
import { look } from './look.mjs';
import { Clips, eventually, startNet } from './net.mjs';

let net;
let clips;
let browser;
let video;

before(async () => {
  clips = new Clips();
  [net, browser] = await Promise.all([startNet(2), openBrowser()]);
  video = await net.pod(1).upload(clips.mp4(), 'Seen and liked');
  await eventually('pod 2 has it', async () => (await net.pod(2).json('/api/v1/videos')).total === 1);
});

after(async () => {
  await browser?.close();
  await net?.stop();
  clips?.remove();
});

async function numbersOn(pod) {
  const { views, likes, dislikes } = await pod.json(`/api/v1/videos/${video.uuid}`);
  return [views, likes, dislikes];
}

async function everywhere(expected) {
  for (const pod of net.pods) await eventually(`pod ${pod.number} shows ${expected}`, async () => String(await numbersOn(pod)) === String(expected));
}

async function logIn(page, pod) {
  await page.goto(`${pod.url}/login?next=/w/${video.uuid}`);
  await page.getByLabel('User name').fill('root');
  await page.getByLabel('Password').fill(pod.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Seen and liked' }).waitFor();
}

test('whoever watches half of it is one view on every pod, and whoever only looks is none', async () => {
  const { page, context, complaints } = await openPage(browser);
  await page.goto(`${net.pod(2).url}/w/${video.uuid}`);
  await page.evaluate(() => { document.querySelector('video').muted = true; return document.querySelector('video').play(); });
  await eventually('it plays', async () => (await playing(page)).time > 1);
  assert.deepEqual(await numbersOn(net.pod(2)), [0, 0, 0]);
  await everywhere([1, 0, 0]);
  await page.reload();
  await page.getByText('1 view', { exact: true }).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a like is pressed and taken back without leaving the page', async () => {
  const opened = await openPage(browser);
  const { page, context } = opened;
  await logIn(page, net.pod(2));
  const like = page.getByRole('button', { name: 'I like this' });
  const dislike = page.getByRole('button', { name: 'I do not like this' });
  await page.evaluate(() => { globalThis.stayed = true; });
  await like.click();
  await page.locator('button[data-rating="like"][aria-pressed="true"]').waitFor();
  await everywhere([1, 1, 0]);
  await dislike.click();
  await page.locator('button[data-rating="dislike"][aria-pressed="true"]').waitFor();
  assert.equal(await like.getAttribute('aria-pressed'), 'false');
  await everywhere([1, 0, 1]);
  await dislike.click();
  await page.locator('button[data-rating="dislike"][aria-pressed="false"]').waitFor();
  await everywhere([1, 0, 0]);
  assert.equal(await page.evaluate(() => globalThis.stayed), true);
  await look(opened, 'rating', net.pods);
  await context.close();
});

test('the same without scripts, and the page remembers', async () => {
  const { page, context } = await openPage(browser, { javaScriptEnabled: false });
  await logIn(page, net.pod(1));
  await page.getByRole('button', { name: 'I like this' }).click();
  await page.locator('button[data-rating="like"][aria-pressed="true"]').waitFor();
  await everywhere([1, 1, 0]);
  await page.reload();
  await page.getByRole('button', { name: 'I like this' }).click();
  await page.locator('button[data-rating="like"][aria-pressed="false"]').waitFor();
  await everywhere([1, 0, 0]);
  await context.close();
});
