// Sends a code, waits for its delivery, reads it from the simulated phone, and checks it: everything typed by api.d.ts.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Message = components["schemas"]["Message"];

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const client = createClient<paths>({
  baseUrl: setting("OTPOST_URL"),
  headers: { Authorization: `Bearer ${setting("OTPOST_KEY")}` },
});
const to = "+628123459999";

const sent = await client.POST("/v1/messages", {
  params: { header: { "Idempotency-Key": crypto.randomUUID() } },
  body: { to, purpose: "login", locale: "id-ID", client: { platform: "web" }, metadata: { from: "typescript" } },
});
if (sent.error) throw new Error(`${sent.error.code}: ${sent.error.detail}`);
const message: Message = sent.data;
console.log(`sent to ${message.to}: ${message.id}, ${message.state}`);

const path = { id: message.id };
const held = await client.GET("/v1/messages/{id}", { params: { path, query: { wait_for: "delivered", timeout_s: 30 } } });
if (held.error) throw new Error(`${held.error.code}: ${held.error.detail}`);
if (held.data.state !== "delivered") throw new Error(`not delivered but ${held.data.state}`);
console.log(`delivered by ${held.data.channel} at ${held.data.delivered_at}`);

// What the phone shows. The simulator is no part of the API.
const seen = await fetch(`${setting("OTPOST_SIMULATOR")}/sim/messages?to=${encodeURIComponent(to)}`);
const code = /"code"\s*:\s*"([0-9]+)"/.exec(await seen.text())?.[1];
if (!code) throw new Error("the phone shows no code");

const checked = await client.POST("/v1/messages/{id}/check", { params: { path }, body: { code } });
if (checked.error) throw new Error(`${checked.error.code}: ${checked.error.detail}`);
if (!checked.data.valid) throw new Error(`not valid: ${checked.data.reason}`);
console.log(`checked: ${checked.data.outcome}`);

// A refusal has a type, too.
const refused = await client.POST("/v1/messages", { body: { to: "12" } });
if (refused.error?.type !== "urn:otpost:problem:invalid-field") throw new Error("a wrong number is taken");
console.log(`refused: ${refused.error.errors?.[0]?.field} ${refused.error.code}`);
