/* The behaviour of the maps of a page. Text from users is set as text, never as markup. */
(() => {
  "use strict";
  const LISTED = 500; // selected images that are listed; all are counted and copied
  const THUMB = 112; // side of the thumbnail beside a point, in CSS pixels
  const MARGIN = 36; // around the points at first, in CSS pixels
  const DARK = matchMedia("(prefers-color-scheme: dark)");

  function element(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  const images = (count) => (count === 1 ? "1 image" : `${count.toLocaleString("en-GB")} images`);
  const percent = (share) => (share >= 0.9995 && share < 1 ? "> 99.9 %" : `${(100 * share).toFixed(1)} %`);

  async function copied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Without a secure context there is no clipboard but this one.
      const area = element("textarea");
      area.value = text;
      area.style.position = "fixed";
      area.style.opacity = "0";
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  class FeatxMap {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(document.getElementById(`${root.id}-data`).textContent);
      this.groupOf = new Int32Array(this.data.names.length);
      this.data.groups.forEach((group, number) => group.index.forEach((i) => (this.groupOf[i] = number)));
      this.blank = new Set(this.data.atlas ? this.data.atlas.blank : []);
      this.wrong = new Set(this.data.wrong);
      this.hits = new Map();
      this.off = new Set(); // numbers of the groups that are hidden
      this.tip = this.find(".featx-tip");
      this.mark = this.find(".featx-mark");
      this.list = this.find(".featx-list");
    }

    find(selector) {
      return this.root.querySelector(selector);
    }

    async start() {
      const stage = this.find(".featx-plot");
      const manager = await Bokeh.embed.embed_item(this.data.plot, stage);
      this.view = [...manager.roots][0];
      this.plot = this.view.model;
      this.source = this.plot.renderers[0].data_source;
      this.x = this.source.get_array("x");
      this.y = this.source.get_array("y");
      this.parts = this.plot.renderers.map((renderer) => {
        const [kind, number] = renderer.name.split("-");
        return { kind, number: Number(number), renderer, size: renderer.glyph.size.value };
      });
      this.tools = Object.fromEntries(this.plot.toolbar.tools.map((tool) => [tool.name, tool]));
      this.listen(stage);
      this.drag("move");
      this.wheel(this.data.wheel);
      this.colour();
      this.scale();
      this.fit();
      this.chosen();
      this.legend();
      this.root.dataset.ready = "yes";
    }

    listen(stage) {
      this.source.inspect.connect(([renderer, { geometry }]) => {
        this.mouse = geometry;
        this.hits.set(renderer.id, this.source.inspected.indices);
        this.later ??= requestAnimationFrame(() => this.hovered());
      });
      this.source.selected.properties.indices.change.connect(() => this.chosen());
      for (const range of [this.plot.x_range, this.plot.y_range]) range.change.connect(() => this.hide());
      for (const name of ["inner_width", "inner_height"]) {
        this.plot.properties[name].change.connect(() => this.resized());
      }
      stage.addEventListener("pointerleave", () => this.hide());
      this.find(".featx-legend").addEventListener("scroll", () => this.legend());
      DARK.addEventListener("change", () => this.colour());
      this.root.addEventListener("click", (event) => this.clicked(event.target.closest("button")));
      this.root.addEventListener("keydown", (event) => {
        if (event.key === "Escape") this.select([]);
      });
      for (const kind of ["focusin", "pointerover"]) {
        this.list.addEventListener(kind, (event) => {
          const item = event.target.closest("button");
          if (item) this.show([Number(item.dataset.image)]);
        });
      }
      for (const kind of ["focusout", "pointerleave"]) this.list.addEventListener(kind, () => this.hide());
      const input = this.find("input");
      input.addEventListener("input", () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => this.search(input.value), 150);
      });
    }

    clicked(button) {
      if (!button) return;
      if (button.dataset.group) this.toggle([Number(button.dataset.group)]);
      if (button.dataset.drag) this.drag(button.dataset.drag);
      if (button.dataset.image) this.show([Number(button.dataset.image)]);
      const actions = {
        in: () => this.zoom(1 / 1.5),
        out: () => this.zoom(1.5),
        reset: () => this.fit(),
        wheel: () => this.wheel(!this.tools.wheel.active),
        wrong: () => this.select(this.data.wrong.filter((i) => this.shown(i))),
        all: () => this.toggle(this.data.groups.map((_, number) => number), this.entries().every((one) => !this.pressed(one))),
        copy: () => this.copy(),
        clear: () => this.select([]),
      };
      actions[button.dataset.do]?.();
    }

    // --- the window on the map ---

    room() {
      return [this.plot.inner_width || 0, this.plot.inner_height || 0];
    }

    look(x, y, unit) {
      // Equal aspect: one unit is as long across as it is up.
      const [width, height] = this.room();
      if (!(width > 0 && height > 0)) return;
      this.unit = unit;
      this.seen = [width, height];
      this.plot.x_range.setv({ start: x - (unit * width) / 2, end: x + (unit * width) / 2 });
      this.plot.y_range.setv({ start: y - (unit * height) / 2, end: y + (unit * height) / 2 });
    }

    centre() {
      const { x_range: x, y_range: y } = this.plot;
      return [(x.start + x.end) / 2, (y.start + y.end) / 2, (x.end - x.start) / this.seen[0]];
    }

    fit() {
      const bounds = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
      const [left, right] = bounds(this.x);
      const [bottom, top] = bounds(this.y);
      const [width, height] = this.room();
      const unit = Math.max((right - left) / (width - 2 * MARGIN), (top - bottom) / (height - 2 * MARGIN)) || 1 / Math.min(width, height);
      this.look((left + right) / 2, (bottom + top) / 2, unit);
      this.fitted = [this.plot.x_range.start, this.plot.y_range.start];
    }

    resized() {
      this.scale();
      this.legend();
      const whole = this.fitted && this.fitted[0] === this.plot.x_range.start && this.fitted[1] === this.plot.y_range.start;
      if (!this.seen || whole) this.fit();
      else this.look(...this.centre());
      this.hide();
    }

    scale() {
      // Smaller markers in a small window, so that they cover one another less.
      const share = Math.min(Math.max(Math.sqrt(this.room()[0] / 800), 0.7), 1);
      for (const { renderer, size } of this.parts) {
        for (const glyph of this.glyphs(renderer)) glyph.size = { value: size * share };
      }
    }

    glyphs({ glyph, selection_glyph, nonselection_glyph }) {
      return [glyph, selection_glyph, nonselection_glyph];
    }

    zoom(factor) {
      const [x, y, unit] = this.centre();
      this.look(x, y, unit * factor);
    }

    drag(name) {
      for (const one of ["move", "box", "lasso"]) this.tools[one].active = one === name;
      for (const button of this.root.querySelectorAll("[data-drag]")) {
        button.setAttribute("aria-pressed", String(button.dataset.drag === name));
      }
    }

    wheel(active) {
      this.tools.wheel.active = active;
      this.find("[data-do=wheel]").setAttribute("aria-pressed", String(active));
    }

    // --- classes ---

    entries() {
      return [...this.root.querySelectorAll("[data-group]")];
    }

    pressed(entry) {
      return entry.getAttribute("aria-pressed") === "true";
    }

    shown(image) {
      return !this.off.has(this.groupOf[image]);
    }

    toggle(numbers, visible) {
      const entries = this.entries();
      for (const number of numbers) {
        const value = visible ?? !this.pressed(entries[number]);
        entries[number].setAttribute("aria-pressed", String(value));
        if (value) this.off.delete(number);
        else this.off.add(number);
        for (const part of this.parts) if (part.number === number) part.renderer.visible = value;
      }
      this.hits.clear();
      this.hide();
      const all = this.find("[data-do=all]");
      if (all) all.textContent = entries.every((one) => !this.pressed(one)) ? "Show all" : "Hide all";
      const selected = this.selected();
      const kept = selected.filter((i) => this.shown(i));
      if (kept.length !== selected.length) this.select(kept);
    }

    colour() {
      const ink = DARK.matches ? "#f0f3f6" : "#1b1f24";
      const ground = DARK.matches ? "#0f1318" : "#ffffff";
      const own = (colour) => (DARK.matches && colour === "#000000" ? "#ffffff" : colour);
      for (const { kind, number, renderer } of this.parts) {
        const { placed, colour } = this.data.groups[number];
        for (const glyph of this.glyphs(renderer)) {
          if (kind === "rings") glyph.line_color = ink;
          else if (kind === "outlines") glyph.fill_color = glyph.line_color = ink;
          else [glyph.fill_color, glyph.line_color] = placed ? [ground, own(colour)] : [own(colour), ground];
        }
      }
      this.data.groups.forEach(({ colour }, number) => {
        this.find(`[data-group="${number}"] svg`).style.color = own(colour);
      });
    }

    legend() {
      const legend = this.find(".featx-legend");
      const below = legend.scrollHeight - legend.clientHeight - legend.scrollTop;
      legend.classList.toggle("featx-more-below", below > 4);
    }

    // --- one image ---

    hovered() {
      this.later = undefined;
      const { sx, sy } = this.mouse;
      const away = (i) => {
        const [x, y] = this.placeOf(i);
        return Math.hypot(x - sx, y - sy);
      };
      const indices = [...this.hits.values()].flat().sort((one, other) => away(one) - away(other));
      if (indices.length) this.show(indices);
      else this.hide();
    }

    hide() {
      this.tip.hidden = true;
      this.mark.hidden = true;
      this.current = undefined;
    }

    placeOf(image) {
      const { x_scale: x, y_scale: y } = this.view.frame;
      return [x.compute(this.x[image]), y.compute(this.y[image])];
    }

    show(indices) {
      const image = indices[0];
      if (!this.tip.hidden && this.current === indices.join()) return;
      const [width, height] = this.room();
      const [x, y] = this.placeOf(image);
      if (!this.shown(image) || x < 0 || y < 0 || x > width || y > height) return;
      this.current = indices.join();
      this.tip.replaceChildren(...this.description(image, indices.length - 1));
      this.tip.hidden = false;
      this.mark.hidden = false;
      this.mark.style.left = `${x}px`;
      this.mark.style.top = `${y}px`;
      this.place(x, y);
    }

    place(x, y) {
      const stage = this.find(".featx-stage");
      const [width, height] = [stage.clientWidth, stage.clientHeight];
      const gap = 16;
      const { offsetWidth: w, offsetHeight: h } = this.tip;
      let left = x + gap;
      let top = Math.min(Math.max(y - h / 2, 6), height - h - 6);
      if (left + w > width - 6) left = x - gap - w;
      if (left < 6) {
        // Neither side has room: below the point, or above it.
        left = Math.min(Math.max(x - w / 2, 6), width - w - 6);
        top = y + gap + h < height ? y + gap : y - gap - h;
      }
      this.tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
    }

    value(image) {
      const { by, values, classes, labels } = this.data;
      if (!by) return "";
      return values ? values[image] : classes[labels[image]];
    }

    description(image, others) {
      const { data } = this;
      const text = element("div");
      text.append(element("div", "featx-file", data.names[image]));
      const rows = element("dl");
      const row = (name, value, className) => rows.append(element("dt", "", name), element("dd", className, value));
      if (data.by) row(data.by, this.value(image));
      if (data.truth) row("class", data.classes[data.truth[image]]);
      if (data.predicted) row("predicted", data.classes[data.predicted[image]], this.wrong.has(image) ? "featx-wrong" : "");
      if (data.confidence) row("probability", percent(data.confidence[image]));
      const { placed } = data.groups[this.groupOf[image]];
      if (placed) row("image", `${placed}, placed on the map`);
      text.append(rows);
      if (others) text.append(element("div", "featx-more", `and ${others} more here`));
      return [...this.thumbnail(image, THUMB), text];
    }

    thumbnail(image, side) {
      const { atlas } = this.data;
      if (!atlas) return [];
      if (this.blank.has(image)) {
        const blank = element("div", "featx-thumb featx-blank", "image not found");
        blank.style.setProperty("--featx-side", `${side}px`);
        return [blank];
      }
      const thumb = element("div", `featx-thumb ${atlas.name}`);
      const [row, column] = [Math.floor(image / atlas.columns), image % atlas.columns];
      thumb.style.setProperty("--featx-side", `${side}px`);
      thumb.style.backgroundSize = `${atlas.columns * side}px ${atlas.rows * side}px`;
      thumb.style.backgroundPosition = `${-column * side}px ${-row * side}px`;
      return [thumb];
    }

    // --- several images ---

    select(indices) {
      this.source.selected.indices = indices;
    }

    search(text) {
      const wanted = text.trim().toLowerCase();
      const { names, classes, labels } = this.data;
      const has = classes.map((name) => name.toLowerCase().includes(wanted));
      const found = [];
      if (wanted) {
        names.forEach((name, i) => {
          if (this.shown(i) && (has[labels[i]] || name.toLowerCase().includes(wanted))) found.push(i);
        });
      }
      this.select(found);
      if (wanted && !found.length) this.say(`No file or class matches “${text.trim()}”.`);
    }

    selected() {
      return [...this.source.selected.indices].sort((one, other) => one - other);
    }

    chosen() {
      const indices = this.selected();
      const count = indices.length;
      this.say(count ? `${images(count)}${count > LISTED ? `, of which ${LISTED} are listed` : ""}.` :
        "None. Click a point, drag a box or a lasso, or find a file.");
      for (const name of ["copy", "clear"]) this.find(`[data-do=${name}]`).disabled = !count;
      this.list.replaceChildren(...indices.slice(0, LISTED).map((i) => this.item(i)));
      this.list.hidden = !count;
    }

    item(image) {
      const { data } = this;
      const line = element("li");
      const button = element("button");
      button.type = "button";
      button.dataset.image = image;
      const text = element("span");
      text.append(element("span", "featx-file", data.names[image]));
      const small = element("small", "", this.value(image));
      if (this.wrong.has(image)) {
        small.append(" · ", element("span", "featx-wrong", `predicted ${data.classes[data.predicted[image]]}`));
      }
      text.append(small);
      button.append(...this.thumbnail(image, 44), text);
      line.append(button);
      return line;
    }

    async copy() {
      const names = this.selected().map((i) => this.data.names[i]);
      const done = await copied(names.join("\n") + "\n");
      this.say(done ? `${names.length.toLocaleString("en-GB")} file names copied.` : "The browser does not let this page copy.");
    }

    say(text) {
      this.find(".featx-status").textContent = text;
    }
  }

  const begin = () => {
    for (const root of document.querySelectorAll(".featx-map")) new FeatxMap(root).start();
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
