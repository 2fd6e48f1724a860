// Run with `npm ci && node --test`.
const assert = require("node:assert");
const test = require("node:test");
require("./server.js");

test("the page and the health check answer", async () => {
  const page = await fetch("http://127.0.0.1:8080/");
  assert.match(await page.text(), /^hello from node, up /);
  const health = await fetch("http://127.0.0.1:8080/health");
  assert.deepStrictEqual(await health.json(), { status: "ok" });
});

test.after(() => setImmediate(() => process.exit()));
