// Conversation as people have it: writing, answering, deleting and taking that back, hiding, reporting; with scripts and without.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { openBrowser, openPage, playing } from './browser.mjs';
import { FURTHER_RULES, SCREENS, look, shoot } from './look.mjs';
import { Clips, eventually, startNet } from './net.mjs';

/** What a hostile person may write wherever they can write. */
const PAYLOADS = [
  '<script>globalThis.owned = 1</script>',
  '"><img src=x onerror="globalThis.owned = 1">',
  "'-globalThis.owned-'",
  '<svg onload=globalThis.owned=1>',
  'javascript:globalThis.owned=1',
  '</textarea></li></ol></live-part><iframe srcdoc="<script>parent.owned=1</script>">',
  '<a href="javascript:globalThis.owned=1">click</a>',
  '{{7*7}} ${7*7} &lt;b&gt; &#x3C;',
];

let net;
let clips;
let browser;
let video;

before(async () => {
  clips = new Clips();
  [net, browser] = await Promise.all([startNet(2), openBrowser()]);
  video = await net.pod(1).upload(clips.mp4(), 'Talked about');
  await eventually('pod 2 has it', async () => (await net.pod(2).json('/api/v1/videos')).total === 1);
});

after(async () => {
  await browser?.close();
  await net?.stop();
  clips?.remove();
});

async function logIn(page, pod) {
  await page.goto(`${pod.url}/login?next=/w/${video.uuid}`);
  await page.getByLabel('User name').fill('root');
  await page.getByLabel('Password').fill(pod.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Talked about' }).waitFor();
}

/** Logs in a browser and answers its page, started video and all. */
async function watching(pod, options) {
  const opened = await openPage(browser, options);
  await logIn(opened.page, pod);
  return opened;
}

async function say(pod, text, to) {
  const place = to === undefined ? 'comment-threads' : `comments/${to}`;
  const headers = { authorization: `Bearer ${await pod.token()}`, 'content-type': 'application/json' };
  return (await pod.json(`/api/v1/videos/${video.uuid}/${place}`, { method: 'POST', headers, body: JSON.stringify({ text }) })).comment;
}

async function threads(pod) {
  return (await pod.json(`/api/v1/videos/${video.uuid}/comment-threads?sort=createdAt`)).data;
}

async function texts(pod) {
  return (await threads(pod)).map((row) => row.text);
}

test('who is not logged in reads, and is told how to write', async () => {
  const opened = await openPage(browser);
  const { page, context } = opened;
  await page.goto(`${net.pod(2).url}/w/${video.uuid}`);
  await page.getByText('Nobody has said anything yet.').waitFor();
  const link = page.locator('#comments').getByRole('link', { name: 'Log in' });
  assert.match(await link.getAttribute('href'), /^\/login\?next=/);
  assert.equal(await page.locator('#comments textarea').count(), 0);
  await context.close();
});

test('a comment is written while the video plays on, and appears on a page of another pod', async () => {
  const reader = await openPage(browser);
  await reader.page.goto(`${net.pod(1).url}/w/${video.uuid}`);
  const { page, context, complaints } = await watching(net.pod(2));
  await page.evaluate(() => {
    globalThis.stayed = true;
    const player = document.querySelector('video');
    player.muted = true;
    player.loop = true;
    return player.play();
  });
  await eventually('it plays', async () => (await playing(page)).time > 0.3);
  await page.getByLabel('Your comment').fill('What a clip!\nReally.');
  await page.getByRole('button', { name: 'Comment', exact: true }).click();
  await page.locator('.comment-text', { hasText: 'What a clip!' }).waitFor();
  assert.equal(await page.getByLabel('Your comment').inputValue(), '');
  await page.getByRole('heading', { name: '1 comment', exact: true }).waitFor();
  assert.equal(await page.evaluate(() => globalThis.stayed), true);
  assert.equal((await playing(page)).paused, false);
  // Nobody loads that page again.
  await reader.page.locator('.comment-text', { hasText: 'What a clip!' }).waitFor();
  await eventually('pod 1 has it', async () => String(await texts(net.pod(1))) === 'What a clip!\nReally.');
  assert.deepEqual(complaints, []);
  await context.close();
  await reader.context.close();
});

test('a reply is written by keyboard alone and stands below what it answers', async () => {
  const { page, context } = await watching(net.pod(1));
  const comment = page.locator('.comment', { hasText: 'What a clip!' });
  await comment.getByText('Reply', { exact: true }).first().focus();
  await page.keyboard.press('Enter');
  await eventually('the cursor is in the field', () => page.evaluate(() => document.activeElement?.id.startsWith('reply-')));
  await page.keyboard.type('It is rather short.');
  await page.keyboard.press('Control+Enter');
  await page.locator('.replies .comment-text', { hasText: 'It is rather short.' }).waitFor();
  await page.locator('.replies .badge', { hasText: 'published this' }).waitFor();
  await eventually('pod 2 counts it', async () => (await threads(net.pod(2)))[0].totalReplies === 1);
  await context.close();
});

test('what is half written stays when others write', async () => {
  const { page, context } = await watching(net.pod(1));
  const field = page.getByLabel('Your comment');
  await field.fill('I was about to say');
  await page.locator('h1').click();
  const other = await say(net.pod(2), 'Meanwhile');
  await page.locator('.comment-text', { hasText: 'Meanwhile' }).waitFor();
  assert.equal(await field.inputValue(), 'I was about to say');
  const headers = { authorization: `Bearer ${await net.pod(2).token()}` };
  await fetch(`${net.pod(2).url}/api/v1/videos/${video.uuid}/comments/${other.id}`, { method: 'DELETE', headers });
  await page.locator('.comment-text', { hasText: 'Meanwhile' }).waitFor({ state: 'detached' });
  await context.close();
});

test('a deletion can be taken back, and is one when it is not', async () => {
  const { page, context } = await watching(net.pod(2));
  await say(net.pod(2), 'A mistake');
  const comment = page.locator('.comment', { hasText: 'A mistake' });
  await comment.waitFor();
  await comment.getByText('Delete', { exact: true }).first().click();
  await page.getByText('The comment is deleted.').waitFor();
  assert.equal(await comment.isVisible(), false);
  await page.getByRole('button', { name: 'Undo' }).click();
  await comment.waitFor();
  assert.ok((await texts(net.pod(1))).includes('A mistake') || (await texts(net.pod(2))).includes('A mistake'));
  await comment.getByText('Delete', { exact: true }).first().click();
  await page.getByText('The comment is deleted.').waitFor();
  // Whoever leaves the page does not want it back.
  await page.getByRole('link', { name: 'Seedpod, home' }).click();
  for (const pod of net.pods) await eventually(`it is gone from pod ${pod.number}`, async () => !(await texts(pod)).includes('A mistake'));
  await context.close();
});

test('who published the video hides a comment everywhere, and shows it again', async () => {
  await say(net.pod(2), 'Buy my things');
  const { page, context } = await watching(net.pod(1));
  const comment = page.locator('.comment', { hasText: 'Buy my things' });
  await comment.waitFor();
  await comment.getByText('Hide', { exact: true }).first().click();
  await page.getByText('The comment is hidden.').waitFor();
  await page.locator('h1').click();
  await eventually('pod 2 shows it no more', async () => !(await texts(net.pod(2))).includes('Buy my things'));
  await page.getByText('1 hidden comment', { exact: true }).click();
  await page.getByRole('button', { name: 'Show the comment of root again' }).click();
  await page.getByText('The comment is shown again.').waitFor();
  await eventually('pod 2 shows it again', async () => (await texts(net.pod(2))).includes('Buy my things'));
  await context.close();
});

test('a report is sent from the page, and the people of the origin decide', async () => {
  const { page, context } = await watching(net.pod(2));
  const report = page.locator('.watch-bar .report');
  await report.getByText('Report', { exact: true }).click();
  await report.getByLabel('Kind').selectOption('spamOrMisleading');
  await report.getByLabel('Reason').fill('Not what it says <b>at all</b>');
  await report.getByRole('button', { name: 'Send the report' }).click();
  await report.getByText('Thank you.').waitFor();
  await context.close();

  const admin = await openPage(browser);
  await logIn(admin.page, net.pod(1));
  await eventually('the report arrives', async () => {
    await admin.page.goto(`${net.pod(1).url}/admin/reports`);
    return admin.page.getByText('Not what it says <b>at all</b>').isVisible();
  });
  await admin.page.getByText('Spam or misleading.').waitFor();
  await look(admin, 'reports-light', net.pods);
  await admin.page.getByLabel('Note, for this pod').fill('It is spam');
  await admin.page.getByRole('button', { name: 'Accept report 1' }).click();
  await admin.page.getByRole('heading', { name: 'Nothing to decide' }).waitFor();
  await look(admin, 'reports-empty', net.pods);
  await admin.page.getByRole('link', { name: 'All', exact: true }).click();
  await admin.page.getByText('accepted', { exact: true }).waitFor();
  assert.equal(await admin.page.getByLabel('Note, for this pod').inputValue(), 'It is spam');
  await admin.page.setViewportSize(SCREENS.phone.viewport);
  await look(admin, 'reports-phone', net.pods, { rules: FURTHER_RULES.phone });
  await admin.context.close();
});

test('what others write is text, whatever it is', async () => {
  for (const payload of PAYLOADS) await say(net.pod(2), payload);
  for (const options of [{}, { javaScriptEnabled: false }]) {
    const opened = await openPage(browser, options);
    await logIn(opened.page, net.pod(1));
    await eventually('all of it has arrived', async () => (await texts(net.pod(1))).length >= PAYLOADS.length + 2);
    await opened.page.reload();
    const shown = await opened.page.locator('.comment-text').allTextContents();
    for (const payload of PAYLOADS) assert.ok(shown.includes(payload), `${payload} is shown as it was written: ${shown}`);
    assert.equal(await opened.page.locator('#comments iframe, #comments img, #comments svg, #comments script, #comments [onerror], #comments [onload]').count(), 0);
    assert.equal(await opened.page.locator('#comments a[href^="javascript"]').count(), 0);
    if (options.javaScriptEnabled !== false) assert.equal(await opened.page.evaluate(() => globalThis.owned), undefined);
    assert.deepEqual(opened.complaints, []);
    await opened.context.close();
  }
});

test('all of it works without scripts', async () => {
  const { page, context } = await openPage(browser, { javaScriptEnabled: false });
  await logIn(page, net.pod(2));
  await page.getByLabel('Your comment').fill('Without scripts');
  await page.getByRole('button', { name: 'Comment', exact: true }).click();
  await page.getByText('Your comment is on its way to all friends.').waitFor();
  const comment = page.locator('.comment', { hasText: 'Without scripts' });
  await comment.getByText('Reply', { exact: true }).first().click();
  await comment.getByLabel('Your reply to root').fill('And a reply');
  await comment.getByRole('button', { name: 'Reply', exact: true }).click();
  await page.locator('.replies .comment-text', { hasText: 'And a reply' }).waitFor();
  const reply = page.locator('.replies .comment', { hasText: 'And a reply' });
  await reply.getByText('Delete', { exact: true }).first().click();
  await reply.getByRole('button', { name: 'Delete it' }).click();
  await page.getByText('The comment was deleted, here and on all friends.').waitFor();
  assert.equal(await page.locator('.comment-text', { hasText: 'And a reply' }).count(), 0);
  const report = page.locator('.comment', { hasText: 'Without scripts' }).locator('.report');
  await report.getByText('Report', { exact: true }).click();
  await report.getByLabel('Reason').fill('To try it');
  await report.getByRole('button', { name: 'Send the report' }).click();
  await page.getByText('Thank you. Only the people').waitFor();
  await context.close();
});

test('it looks right on every screen', async () => {
  for (const [name, screen] of Object.entries(SCREENS)) {
    const opened = await openPage(browser, screen);
    await logIn(opened.page, net.pod(2));
    await opened.page.locator('#comments').scrollIntoViewIfNeeded();
    await look(opened, `comments-${name}`, net.pods, name === 'light' ? {} : { rules: FURTHER_RULES[name] });
    const comment = opened.page.locator('.comment', { hasText: 'What a clip!' });
    await comment.getByText('Report', { exact: true }).first().click();
    await shoot(opened.page, `comments-${name}-report`);
    await opened.context.close();
  }
});
