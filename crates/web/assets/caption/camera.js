// Live captions: a frame of the camera goes to the server as soon as the last one's caption is there.

import { caption } from "./server.js";

// The model sees about this much; more is only more to send.
const SIDE = 320;
// Frames a second at most: faster captions are not read by anybody.
const FASTEST_MS = 120;

export class Camera {
  constructor(video, hear, fail) { Object.assign(this, { video, hear, fail, stream: null }); }

  get on() { return this.stream !== null; }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers give the camera only to pages at localhost or over HTTPS.");
    }
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 640 } } });
    } catch (error) {
      const why = { NotAllowedError: "The browser did not allow the camera.", NotFoundError: "There is no camera.", NotReadableError: "Another program uses the camera." };
      throw new Error(why[error.name] ?? `The camera could not be opened: ${error.message}`);
    }
    this.video.srcObject = this.stream;
    await this.video.play();
    this.loop(this.stream);
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
  }

  async loop(stream) {
    const canvas = document.createElement("canvas");
    const times = [];
    while (this.stream === stream) {
      const start = performance.now();
      const { videoWidth: width, videoHeight: height } = this.video;
      const scale = Math.min(1, SIDE / Math.max(width, height, 1));
      canvas.width = Math.max(1, Math.round(width * scale));
      canvas.height = Math.max(1, Math.round(height * scale));
      canvas.getContext("2d").drawImage(this.video, 0, 0, canvas.width, canvas.height);
      const frame = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.8));
      try {
        // One greedy caption: the next frame is a better use of the time than a wider search.
        const answer = await caption(frame, { n: 1, beam_size: 1, attention: true });
        if (this.stream !== stream) return;
        times.push(performance.now());
        while (times.length > 12) times.shift();
        const rate = times.length > 1 ? (1000 * (times.length - 1)) / (times.at(-1) - times[0]) : null;
        this.hear(answer, rate);
      } catch (error) {
        if (this.stream !== stream) return;
        // A busy server is asked again; anything else ends it.
        if (error.status !== 429 && error.status !== 503) { this.fail(error); return; }
        await pause(1000 * (error.retry ?? 1));
      }
      await pause(Math.max(0, start + FASTEST_MS - performance.now()));
    }
  }
}

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
