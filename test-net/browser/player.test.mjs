// The player's controls: by keyboard, by name, in words, and under the page's policy.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { openBrowser, openPage, playing } from './browser.mjs';
import { FURTHER_RULES, SCREENS, look, shoot } from './look.mjs';
import { Clips, eventually, startNet } from './net.mjs';

let net;
let clips;
let browser;
let video;

before(async () => {
  clips = new Clips();
  [net, browser] = await Promise.all([startNet(1, { friends: false }), openBrowser()]);
  video = await net.pod(1).upload(clips.scene('evening', 'gradients=s=1280x720:r=25:c0=0x1d3557:c1=0x457b9d:c2=0xe9c46a:c3=0xe76f51:n=4:speed=0.012:seed=7', 12), 'Colours of a slow evening');
});

after(async () => {
  await browser?.close();
  await net?.stop();
  clips?.remove();
});

async function open(options = {}, path = `/w/${video.shortUUID}`) {
  const opened = await openPage(browser, options);
  await opened.page.goto(net.pod(1).url + path);
  if (options.javaScriptEnabled !== false) {
    await opened.page.locator('media-controller').waitFor();
    await eventually('the first frame is there', () => opened.page.evaluate(() => document.querySelector('video').readyState >= 2));
  }
  return opened;
}

const state = (page) => page.evaluate(() => {
  const { currentTime, paused, muted, playbackRate, volume } = document.querySelector('video');
  return { currentTime, paused, muted, playbackRate, volume };
});

test('without scripts the browser has its own controls', async () => {
  const { page, context } = await open({ javaScriptEnabled: false });
  assert.notEqual(await page.locator('video').getAttribute('controls'), null);
  assert.equal(await page.locator('media-controller').count(), 0);
  await context.close();
});

test('keys work on the page, as long as nobody types', async () => {
  const { page, context, complaints } = await open();
  const body = page.locator('body');
  await body.press('k');
  await eventually('it plays', async () => (await state(page)).currentTime > 0.5);
  await body.press('k');
  await eventually('it stands', async () => (await state(page)).paused);
  await body.press('5');
  await eventually('it is in the middle', async () => Math.abs((await state(page)).currentTime - 6) < 0.1);
  await body.press('.');
  await eventually('one frame on', async () => (await state(page)).currentTime > 6.02);
  await body.press('m');
  await eventually('it is silent', async () => (await state(page)).muted);
  await body.press('>');
  await eventually('it is faster', async () => (await state(page)).playbackRate === 1.25);
  await body.press('Home');
  await eventually('back at the beginning', async () => (await state(page)).currentTime === 0);
  const search = page.getByLabel('Search this network');
  await body.press('/');
  await search.pressSequentially('k m 5');
  assert.equal(await search.inputValue(), 'k m 5');
  const now = await state(page);
  assert.deepEqual([now.paused, now.muted, now.currentTime], [true, true, 0], 'typing is typing');
  assert.deepEqual(complaints, []);
  await context.close();
});

test('every control can be reached by Tab, has a name, and does what it says', async () => {
  const { page, context, complaints } = await open();
  await page.locator('.brand').focus();
  const names = [];
  for (let step = 0; step < 20; step += 1) {
    await page.keyboard.press('Tab');
    const name = await page.evaluate(() => {
      const focused = document.activeElement;
      if (!focused?.closest('pod-player')) return null;
      const inner = focused.shadowRoot?.activeElement ?? focused;
      return `${focused.localName}: ${inner.getAttribute('aria-label') ?? ''}`;
    });
    if (name) names.push(name);
  }
  assert.deepEqual(names.map((name) => name.split(':')[0]), ['media-controller', 'media-time-range', 'media-play-button', 'media-mute-button', 'media-volume-range', 'media-time-display', 'media-playback-rate-button', 'media-pip-button', 'media-fullscreen-button']);
  for (const name of names) assert.match(name, /: \S/, 'it has a name');
  await page.getByRole('button', { name: 'play', exact: true }).press('Enter');
  await eventually('it plays', async () => (await state(page)).currentTime > 0.3);
  await page.getByRole('button', { name: /playback rate/i }).press('Enter');
  await eventually('the next rate', async () => (await state(page)).playbackRate === 1.25);
  await page.getByRole('button', { name: /full screen|fullscreen/i }).press('Enter');
  // All of the player, so that what it says in trouble can be read there too.
  await eventually('the player fills the screen', () => page.evaluate(() => document.fullscreenElement?.localName === 'pod-player'));
  await page.keyboard.press('f');
  await eventually('and no longer', () => page.evaluate(() => document.fullscreenElement === null));
  assert.deepEqual(complaints, [], 'the policy refused nothing');
  await context.close();
});

test('the bar shows what was played and what is there', async () => {
  const { page, context } = await open();
  await page.locator('body').press('k');
  await eventually('a quarter', async () => (await state(page)).currentTime > 3);
  const bar = await page.evaluate(() => {
    const range = document.querySelector('media-time-range');
    const width = (part) => range.shadowRoot.querySelector(part).getBoundingClientRect().width;
    return { track: width('#track'), played: width('#progress'), buffered: width('#buffered') };
  });
  assert.ok(bar.played > bar.track / 6 && bar.played < bar.track, JSON.stringify(bar));
  assert.ok(bar.buffered >= bar.played && bar.buffered <= bar.track, JSON.stringify(bar));
  await context.close();
});

for (const [screen, options] of Object.entries(SCREENS)) {
  test(`the controls on the screen “${screen}”`, async () => {
    const opened = await open(options);
    const { page } = opened;
    await look(opened, `player-before-${screen}`, net.pods, { rules: FURTHER_RULES[screen], fullPage: false });
    await page.evaluate(() => document.querySelector('video').play());
    await eventually('it plays', async () => (await playing(page)).time > 0.5);
    await page.locator('media-controller').hover();
    await shoot(page, `player-playing-${screen}`);
    await page.evaluate(() => document.querySelector('video').pause());
    await look(opened, `player-paused-${screen}`, net.pods, { rules: FURTHER_RULES[screen], fullPage: false });
    await opened.context.close();
  });
}

test('the embedded player has the same controls', async () => {
  const opened = await open({ viewport: { width: 640, height: 360 } }, `/videos/embed/${video.uuid}`);
  await look(opened, 'player-embed', net.pods, { fullPage: false });
  await opened.context.close();
});
