// Opens /docs of a running service in Chromium, as a reader does: gives the key,
// tries createDomain out, and follows each problem code of the contract. It
// fails on a console message, and on a request that leaves the host.
//
//   node docs.mjs URL KEY
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [url, key] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage();
const said = [], away = [];
page.on("console", (m) => ["error", "warning"].includes(m.type()) && said.push(m.text()));
page.on("pageerror", (e) => said.push(String(e)));
page.on("request", (r) => r.url().startsWith(url) || r.url().startsWith("data:") || away.push(r.url()));

await page.goto(`${url}/docs`);
const create = page.locator("#operations-domains-createDomain");
await create.waitFor();
await page.click("button.authorize");
await page.fill(".auth-container input", key);
await page.click(".auth-btn-wrapper .authorize");
await page.click(".auth-btn-wrapper .btn-done");

await create.locator(".opblock-summary-control").click();
await create.locator(".try-out__btn").click();
await create.locator(".execute").click();
const status = create.locator(".live-responses-table tbody .response-col_status").first();
await status.waitFor();
assert.equal((await status.innerText()).trim().split(/\s/)[0], "201");
assert.match(await create.locator(".live-responses-table").innerText(), /v=DKIM1/);
assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, ""], "the key outlives the page");

const spec = await page.evaluate(() => fetch("/openapi.json").then((r) => r.json()));
const operations = Object.values(spec.paths).flatMap((path) => Object.values(path)).filter((o) => o.operationId);
assert.equal(await page.locator(".opblock").count(), operations.length);
const codes = spec.components.schemas.Problem.properties.code.description.match(/`[a-z-]+`/g).map((c) => c.slice(1, -1));
for (const code of codes) {
  await page.goto(`${url}/docs/problems/${code}`);
  assert.equal(await page.locator("code").first().innerText(), code);
}

assert.deepEqual(said, [], "the console has messages");
assert.deepEqual(away, [], "requests left the host");
console.log(`/docs: ${operations.length} operations, createDomain tried out, ${codes.length} problem pages`);
await browser.close();
