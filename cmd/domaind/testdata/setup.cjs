// Drives the setup page in Chromium, as a DNS admin would. The test that runs it
// changes DNS when it is asked to: a line "do <what>" goes out, "done" comes back.
'use strict';
const assert = require('node:assert/strict');
const path = require('node:path');
const readline = require('node:readline');
const { chromium } = require('playwright-core');
const { AxeBuilder } = require('@axe-core/playwright');

const url = process.env.SETUP_URL;
const shots = process.env.SETUP_SHOTS;
const within = { timeout: 20000 };

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = async (what) => {
  console.log(`do ${what}`);
  assert.equal((await answers.next()).value, 'done');
};

// watched opens a page that must stay silent and at home.
const watched = async (context) => {
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (m) => { if (['error', 'warning'].includes(m.type())) page.complaints.push(m.text()); });
  page.on('pageerror', (e) => page.complaints.push(String(e)));
  page.on('request', (r) => { if (new URL(r.url()).origin !== new URL(url).origin) page.complaints.push(`request to ${r.url()}`); });
  return page;
};

const axe = async (page, what) => {
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`), [], `axe: ${what}`);
};

const sizes = { desktop: { width: 1024, height: 800 }, phone: { width: 360, height: 740 } };

// look judges and keeps the page in each size and colour.
const look = async (page, what) => {
  for (const [size, viewport] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      await axe(page, `${what} ${size} ${colorScheme}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${what}: ${wide} px too wide on a ${size}`);
      await page.screenshot({ path: path.join(shots, `${what}-${size}-${colorScheme}.png`), fullPage: true });
    }
  }
  await page.setViewportSize(sizes.desktop);
  await page.emulateMedia({ colorScheme: 'light' });
};

const statuses = (page) => page.$$eval('article[data-status]', (all) => all.map((a) => a.dataset.status));

const copies = async (page) => {
  const buttons = await page.$$('article button.copy:visible');
  assert.ok(buttons.length >= 12, `${buttons.length} copy buttons`);
  for (const button of buttons) {
    const text = await page.locator(`#${await button.getAttribute('data-copy')}`).textContent();
    await button.click();
    await page.waitForFunction((b) => b.textContent === 'Copied', button, within);
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), text);
  }
};

// checkByKeyboard reaches the button with the tab key and presses it.
const checkByKeyboard = async (page) => {
  await page.evaluate(() => document.activeElement.blur());
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement.id === 'check')) break;
  }
  const answered = page.waitForResponse((r) => r.url().endsWith('/check'), within);
  await page.keyboard.press('Enter');
  assert.equal((await answered).status(), 200);
  await page.waitForFunction(() => document.getElementById('check').textContent === 'Check now', undefined, within);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'check', 'the focus was lost');
};

const withScript = async (browser) => {
  const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await watched(context);
  await page.goto(url);
  await page.evaluate(() => { window.sameDocument = true; });
  assert.deepEqual(await statuses(page), ['pending', 'pending', 'pending', 'pending']);
  assert.match(await page.textContent('main'), /Your DNS is at Cloudflare/);
  await look(page, 'pending');
  await copies(page);

  await ask('publish mistakes');
  await checkByKeyboard(page);
  await page.waitForSelector('article.fix:has-text("Needs a change")', within);
  const found = await page.textContent('#records');
  for (const text of ['<script>window.pwned=1</script>', '<img src=x onerror=window.pwned=1>', '\\226\\128\\174', 'What to do:']) {
    assert.ok(found.includes(text), `the page lacks ${text}: ${found}`);
  }
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  const spf = page.locator('article', { has: page.locator('h3:has-text("SPF")') });
  assert.match(await spf.textContent(), /merged with yours/);
  const value = await spf.locator('code.value').first().textContent();
  assert.match(value, /include:_spf\.other\.example/);
  await look(page, 'mistakes');
  await page.setViewportSize({ width: 840, height: 800 });
  await page.evaluate(() => document.activeElement.blur());
  await page.screenshot({ path: path.join(shots, 'screenshot.png'), fullPage: true, clip: { x: 0, y: 0, width: 840, height: 1500 } });

  await ask(`publish all ${value}`);
  await page.waitForFunction(() => document.querySelectorAll('article[data-status="verified"]').length === 4, undefined, { timeout: 60000 });
  await page.waitForSelector('.summary[data-status="active"].ok', within);
  await page.waitForFunction(() => /ready/.test(document.getElementById('live').textContent), undefined, within);
  assert.equal(await page.evaluate(() => window.sameDocument), true, 'the page was loaded again');
  assert.match(await page.title(), /ready/);
  await look(page, 'ready');
  assert.deepEqual(page.complaints, []);
  return page;
};

const withoutScript = async (browser) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await watched(context);
  await page.goto(url);
  assert.equal(await page.locator('article').count(), 4);
  assert.equal(await page.locator('button.copy:visible').count(), 0);
  await page.click('#check');
  await page.waitForURL(url, within);
  assert.match(await page.textContent('.summary'), /looked just now/);
  const [file] = await Promise.all([page.waitForEvent('download', within), page.click('text=Download zone file')]);
  assert.equal(file.suggestedFilename(), 'customer.com.zone');
  assert.deepEqual(page.complaints, []);
};

const ended = async (browser, open) => {
  await ask('revoke');
  await open.reload();
  assert.match(await open.textContent('h1'), /no longer valid/);
  await look(open, 'gone');
  const page = await (await browser.newContext()).newPage();
  const answer = await page.goto(url.replace(/.{43}$/, 'A'.repeat(43)));
  assert.equal(answer.status(), 404);
  await axe(page, 'guessed');
};

(async () => {
  const browser = await chromium.launch({
    executablePath: process.env.SETUP_CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  try {
    const open = await withScript(browser);
    await withoutScript(browser);
    await ended(browser, open);
  } finally {
    await browser.close();
  }
  process.exit(0);
})().catch((e) => { console.error(e); process.exit(1); });
