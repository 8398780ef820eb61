// The search of the site runs in a Worker, which browsers do not start for a page that was opened as a file. This runs it
// in a hidden frame. The theme looks for the name IFrameWorker; its own copy would be fetched from the network.
window.IFrameWorker = class extends EventTarget {
  constructor(url) {
    super();
    const frame = document.createElement("iframe");
    frame.hidden = true;
    document.body.append(frame);
    const inside = (this.inside = frame.contentWindow);
    const load = (source) =>
      new Promise((loaded) => {
        const script = inside.document.createElement("script");
        script.src = source;
        script.onload = loaded;
        inside.document.body.append(script);
      });
    inside.document.open();
    inside.document.write("<!doctype html><body></body>");
    inside.document.close();
    inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
    inside.importScripts = (...sources) =>
      sources.reduce((before, source) => before.then(() => load(source)), Promise.resolve());
    this.loaded = load(url);
  }
  postMessage(data) {
    this.loaded.then(() =>
      this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data: structuredClone(data) }))
    );
  }
  terminate() {
    this.inside.frameElement.remove();
  }
};
if (location.protocol === "file:") window.Worker = window.IFrameWorker;
