// Asks the server for captions, and turns whatever goes wrong into words for a person.

const KEY = "neuraltalk-key";

export const key = {
  get: () => { try { return sessionStorage.getItem(KEY); } catch { return null; } },
  set: (value) => { try { sessionStorage.setItem(KEY, value); } catch { /* It is asked for again. */ } },
};

export class Refused extends Error {
  constructor(status, message, hint, retry) { super(message); Object.assign(this, { status, hint, retry }); }
}

// `picture` is a Blob; the answer is {captions, seconds, model}.
export async function caption(picture, options, signal) {
  const query = new URLSearchParams(Object.entries(options).filter(([, v]) => v !== null && v !== undefined));
  const headers = { "content-type": "application/octet-stream" };
  if (key.get()) headers.authorization = `Bearer ${key.get()}`;
  let answer;
  try {
    answer = await fetch(`/v1/caption?${query}`, { method: "POST", body: picture, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server did not answer.", "Is it still running?");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const retry = Number(answer.headers.get("retry-after")) || null;
    throw new Refused(answer.status, sentence(body.detail ?? `The server answered ${answer.status}`), body.hint && sentence(body.hint), retry);
  }
  return { captions: body.results[0].captions, seconds: body.seconds, model: body.model };
}

// Messages of programs start small and end without a stop.
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
