// Every page on every screen: its picture in `shots/`, and everything a program can see of how it looks.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { openBrowser, openPage, playing, slowDown } from './browser.mjs';
import { FURTHER_RULES, SCREENS, look } from './look.mjs';
import { Clips, eventually, startNet } from './net.mjs';

/** Videos of the network: who publishes what. */
const SCENES = {
  evening: { pod: 1, name: 'Colours of a slow evening', source: 'gradients=s=1280x720:r=25:c0=0x1d3557:c1=0x457b9d:c2=0xe9c46a:c3=0xe76f51:n=4:speed=0.012:seed=7', tags: ['evening', 'colour'] },
  mandelbrot: { pod: 3, name: 'Into the Mandelbrot set, and how far one can go before numbers run out', source: 'mandelbrot=s=1280x720:r=25:end_scale=0.05:maxiter=600' },
  rule: { pod: 2, name: 'Rule 110', source: 'cellauto=s=640x360:rule=110:r=25,scale=1280:720:flags=neighbor,negate' },
  life: { pod: 3, name: 'Life, seen from above', source: 'life=s=320x180:r=12:mold=12:ratio=0.2:seed=3:life_color=0x6fcf97:death_color=0x1f3d2b:mold_color=0x14241a,scale=1280:720:flags=neighbor' },
};
const LONG_EVENING = 'gradients=s=1280x720:r=25:c0=0x1b3a4b:c1=0x2a6f77:c2=0xe9c46a:c3=0xf4a261:n=4:speed=0.008:seed=5:x0=640:y0=0:x1=640:y1=720';
const DESCRIPTION = 'A few seconds in which nothing happens, slowly.\n\nMade with one line of ffmpeg; the colours drift because the seed says so.';

let net;
let lonely;
let clips;
let browser;
let session;
let lonelySession;
const videos = {};

before(async () => {
  clips = new Clips();
  // All clips first: while ffmpeg runs nothing here notices that a pod closed an idle connection.
  const files = Object.fromEntries(Object.entries(SCENES).map(([key, { source }]) => [key, clips.scene(key, source, 6)]));
  const long = clips.weighty('long', LONG_EVENING, 8);
  [net, lonely, browser] = await Promise.all([startNet(3), startNet(1, { friends: false }), openBrowser()]);
  for (const [key, { pod, name, tags = [] }] of Object.entries(SCENES)) {
    const fields = { description: DESCRIPTION, category: '2', licence: '1', language: 'en' };
    tags.forEach((tag, index) => (fields[`tags[${index}]`] = tag));
    videos[key] = await net.pod(pod).upload(files[key], name, fields);
  }
  videos.long = await net.pod(3).upload(long, 'A long evening by the lake', { description: DESCRIPTION, category: '2', licence: '1' });
  await eventually('pod 1 has all videos', async () => (await net.pod(1).json('/api/v1/videos')).total === Object.keys(videos).length);
  session = await logIn(net.pod(1));
  lonelySession = await logIn(lonely.pod(1));
});

after(async () => {
  await browser?.close();
  await Promise.all([net?.stop(), lonely?.stop()]);
  clips?.remove();
});

/** Logs in once, for all pages that need it. */
async function logIn(pod) {
  const { context, page } = await openPage(browser);
  await page.goto(`${pod.url}/login`);
  await page.getByLabel('User name').fill('root');
  await page.getByLabel('Password').fill(pod.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.waitForURL(`${pod.url}/`);
  const state = await context.storageState();
  await context.close();
  return state;
}

const of = () => net.pod(1);
/** Each page: its name, its address, what it needs, what has to be there before the picture is taken. */
const PAGES = [
  { name: 'home', path: () => '/', see: 'Colours of a slow evening' },
  { name: 'home-empty', at: () => lonely.pod(1), path: () => '/', see: 'No videos yet' },
  { name: 'home-friends-empty', at: () => lonely.pod(1), path: () => '/?from=friends', see: 'No friends yet' },
  { name: 'watch-own', path: () => `/w/${videos.evening.shortUUID}`, see: 'from other viewers', user: true },
  { name: 'watch-friend', path: () => `/w/${videos.mandelbrot.shortUUID}`, see: 'from other viewers' },
  { name: 'search', path: () => '/search?q=mandelbrot', see: 'Into the Mandelbrot' },
  { name: 'search-nothing', path: () => '/search?q=xylophone', see: 'Nothing in this network' },
  { name: 'channel', path: () => `/c/root_channel@${new URL(net.pod(3).url).host}`, see: 'Life, seen from above' },
  { name: 'account', path: () => '/a/root', see: 'Colours of a slow evening' },
  { name: 'no-channel', path: () => '/c/nobody', see: 'no such channel', expected: [/404/] },
  { name: 'upload', path: () => '/upload', see: 'From file to network', user: true },
  { name: 'login', path: () => '/login', see: 'Log in to' },
  { name: 'my-videos', path: () => '/my/videos', see: '1 video', user: true },
  { name: 'my-videos-empty', at: () => lonely.pod(1), path: () => '/my/videos', see: 'not published anything', user: true },
  { name: 'edit', path: () => `/my/videos/${videos.evening.uuid}/edit`, see: 'Edit video', user: true },
  { name: 'network', path: () => '/network', see: 'In sync', user: true },
  { name: 'network-visitor', path: () => '/network', see: 'The person who runs this pod' },
  { name: 'network-alone', at: () => lonely.pod(1), path: () => '/network', see: 'no friends yet', user: true },
  { name: 'about', path: () => '/about', see: 'What this is' },
  { name: 'embed', path: () => `/videos/embed/${videos.mandelbrot.uuid}` },
  { name: 'not-found', path: () => '/no/such/page', see: 'Nothing here', expected: [/404/] },
];

for (const [screen, options] of Object.entries(SCREENS)) {
  const rules = FURTHER_RULES[screen];
  describe(`on the screen “${screen}”`, { concurrency: 2 }, () => {
    for (const { name, at = of, path, see, user, expected } of PAGES) {
      test(name, async () => {
        const pod = at();
        const storageState = user ? (pod === of() ? session : lonelySession) : undefined;
        const opened = await openPage(browser, { ...options, storageState });
        await opened.page.goto(pod.url + path(), { waitUntil: 'load' });
        if (see) await opened.page.getByText(see).first().waitFor();
        if (name.startsWith('watch') || name === 'embed') await eventually('the first frame is there', async () => opened.page.evaluate(() => document.querySelector('video').readyState >= 2));
        await look(opened, `${name}-${screen}`, [...net.pods, ...lonely.pods], { expected, rules });
        await opened.context.close();
      });
    }

    test('login with a wrong password', async () => {
      const opened = await openPage(browser, options);
      await opened.page.goto(`${of().url}/login`);
      await opened.page.getByLabel('User name').fill('root');
      await opened.page.getByLabel('Password').fill('not it');
      await opened.page.getByRole('button', { name: 'Log in' }).click();
      await opened.page.getByRole('alert').waitFor();
      assert.equal(await opened.page.getByLabel('User name').inputValue(), 'root', 'the name stays');
      await look(opened, `login-wrong-${screen}`, net.pods, { expected: [/400/], rules });
      await opened.context.close();
    });
  });
}

test('the time from opening a page to the first decoded frame', async (t) => {
  const opened = await openPage(browser);
  await opened.page.goto(`${net.pod(2).url}/w/${videos.mandelbrot.shortUUID}`, { waitUntil: 'commit' });
  const milliseconds = await opened.page.evaluate(async () => {
    const soon = () => new Promise((resolve) => requestAnimationFrame(resolve));
    while (!document.querySelector('video')) await soon();
    const video = document.querySelector('video');
    const shown = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    video.play().catch(() => video.play());
    await shown;
    return performance.now();
  });
  t.diagnostic(`first frame after ${Math.round(milliseconds)} ms`);
  assert.ok(milliseconds < 3_000, `${milliseconds} ms`);
  await opened.context.close();
});

test('the watch page among viewers', async () => {
  const watch = (from) => openPage(from, { colorScheme: 'light' });
  const start = (page) => page.evaluate(() => void document.querySelector('video').play().catch(() => {}));
  const address = `${net.pod(1).url}/w/${videos.long.shortUUID}`;
  const first = await watch(browser);
  await first.page.goto(address);
  await start(first.page);
  await eventually('the first holds the whole file', async () => (await playing(first.page)).stats?.progress === 1);
  const other = await openBrowser();
  try {
    const second = await watch(other);
    // A line on which other viewers make a difference.
    const fast = await slowDown(second, 700_000);
    await second.page.goto(address);
    await start(second.page);
    await eventually('the second is served by the first and well inside the video', async () => {
      const { time, stats } = await playing(second.page);
      return time > 2 && stats.fromPeers > 4_000_000;
    }, 60_000);
    await second.page.getByText('2 watching').waitFor();
    // A hand on the mouse shows the controls, and among them who carries the video.
    await second.page.locator('media-controller').hover();
    await second.page.locator('.player-chip').getByText('from viewers').waitFor();
    await look(second, 'watch-among-viewers', net.pods, { fullPage: false });
    await fast();
    await eventually('what the first brought stays told after all is here', async () => (await playing(second.page)).stats.progress === 1);
    await second.page.getByText(/^1 viewer \d/).waitFor();
  } finally {
    await other.close();
    await first.context.close();
  }
});
