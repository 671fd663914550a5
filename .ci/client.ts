// What a TypeScript program writes against the types that openapi-typescript
// makes of openapi.yaml. CI compiles it strictly; nothing runs it.
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi.js";

type Details = components["schemas"]["DomainDetails"];
type Problem = components["schemas"]["Problem"];

const api = createClient<paths>({
  baseUrl: "http://127.0.0.1:3000",
  headers: { "x-api-key": "YOUR_API_KEY" },
});

function explain(p: Problem): string {
  const where = (p.errors ?? []).map((e) => `${e.pointer} ${e.code}`);
  return [p.code, p.detail, ...where].join(" ");
}

export async function create(domain: string, user: string): Promise<Details> {
  const { data, error } = await api.POST("/v2/domain", {
    body: { domain, user_id: user },
  });
  if (error !== undefined) throw new Error(explain(error));
  return data.domain;
}

export async function wrong(domain: string, user: string): Promise<string[]> {
  const { data, error } = await api.GET("/v2/domains/{domain}/dns", {
    params: { path: { domain }, query: { user_id: user } },
  });
  if (error !== undefined) throw new Error(explain(error));
  return data.dns
    .filter((r) => r.status !== "verified")
    .map((r) => `${r.record_type} ${r.host} ${r.expected_value} ${r.code ?? ""}`);
}

export async function subjects(domain: string, user: string): Promise<string[]> {
  const all: string[] = [];
  for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
    const { data, error } = await api.GET("/v2/domains/{domain}/messages", {
      params: { path: { domain }, query: { user_id: user, ...(cursor !== undefined && { cursor }) } },
    });
    if (error !== undefined) throw new Error(explain(error));
    all.push(...data.messages.map((m) => m.subject));
    cursor = data.next_cursor;
  }
  return all;
}

// @ts-expect-error a route needs its mode
export const noMode: components["schemas"]["PutRouteRequest"] = { user_id: "user_123" };
