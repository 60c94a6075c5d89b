// What is looked at on every page: a picture for people, and what a program can see of how it looks.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SHOTS = fileURLToPath(new URL('shots', import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const ALL_RULES = { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'] };
/** What can be right on the light screen and wrong on another: colours in the dark, sizes and scrolling on the phone. */
export const FURTHER_RULES = {
  dark: { type: 'rule', values: ['color-contrast', 'link-in-text-block'] },
  phone: { type: 'rule', values: ['target-size', 'meta-viewport', 'scrollable-region-focusable', 'color-contrast'] },
};

/** The screens on which every page is looked at. */
export const SCREENS = {
  light: { viewport: { width: 1440, height: 900 }, colorScheme: 'light' },
  dark: { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'light', isMobile: true, hasTouch: true },
};

/** Takes the page's picture into `shots/`. */
export async function shoot(page, name, options = {}) {
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`), animations: 'disabled', ...options });
}

/**
 * Looks at a page that has loaded: nothing is wider than the screen, there is one heading of the first level, only `pods` were contacted,
 * the console is silent but for `expected` complaints, and axe finds no fault.
 */
export async function look({ page, hosts, complaints }, name, pods, { expected = [], fullPage = true, rules = ALL_RULES } = {}) {
  await shoot(page, name, { fullPage });
  const shape = await page.evaluate(() => ({
    headings: document.querySelectorAll('h1').length,
    tooWide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    // Whose fault it is, for whoever reads the failure.
    widest: [...document.querySelectorAll('body *')]
      .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && getComputedStyle(element).position !== 'fixed')
      .slice(0, 5)
      .map((element) => `${element.tagName.toLowerCase()}.${element.className}`),
    pictures: [...document.images].filter((image) => image.complete && image.naturalWidth === 0).map((image) => image.src),
  }));
  assert.equal(shape.headings, 1, `${name}: one heading`);
  assert.ok(shape.tooWide <= 0, `${name}: ${shape.tooWide} px too wide: ${shape.widest}`);
  assert.deepEqual(shape.pictures, [], `${name}: pictures that do not show`);
  const known = new Set(pods.map((pod) => new URL(pod.url).host));
  assert.deepEqual([...hosts].filter((host) => !known.has(host)), [], `${name}: hosts that are no pods`);
  const surprising = complaints.filter((complaint) => !expected.some((pattern) => pattern.test(complaint)));
  assert.deepEqual(surprising, [], `${name}: the console is clean`);
  assert.deepEqual(await faults(page, rules), [], `${name}: accessible`);
}

/** What axe finds wrong, one line a fault. Evaluated from outside of the page: its policy stays as it is. */
async function faults(page, rules) {
  await page.evaluate(AXE);
  const found = await page.evaluate((rules) => globalThis.axe.run(document, { runOnly: rules, resultTypes: ['violations'] }), rules);
  return found.violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} (${node.failureSummary?.split('\n')[1]?.trim()})`));
}
