// Whether the coded data of a JPEG or PNG is whole. A browser draws what is left of a damaged file without a
// word; the server refuses it, so it has to see it as it is. Only what is proved whole here may be shrunk.
"use strict";

// Markers of a baseline JPEG. Source: ITU-T T.81, annexes B and F.
const JPEG = { frames: [0xc0, 0xc1], tables: 0xc4, end: 0xd9, scan: 0xda, interval: 0xdd, profile: 0xe2 };
// Those of other kinds, progressive ones among them, those without a segment, and fill bytes.
const isForeign = (marker) =>
  marker < 0xc0 || (marker > 0xc1 && marker < 0xd9 && marker !== JPEG.tables) || marker === 0xff;
// What asks for more than the samples as they are: transparency, orientation, animation, colour management.
const PNG_CHUNKS_TO_KEEP = ["tRNS", "eXIf", "acTL", "iCCP", "gAMA"];

// Returns {width, height}, or null where the JPEG is damaged or of a kind that is sent as it is.
function intactJpeg(bytes) {
  const word = (index) => (bytes[index] << 8) | bytes[index + 1];
  const tables = new Map();
  const scanned = new Set();
  let frame = null;
  let interval = 0;
  let profile = false;
  let at = 2;
  while (bytes[at] === 0xff && bytes[at + 1] !== JPEG.end) {
    const marker = bytes[at + 1];
    const start = at + 4;
    at += 2 + word(at + 2);
    if (at > bytes.length || at < start || isForeign(marker)) return null;
    if (JPEG.frames.includes(marker)) {
      if (frame || bytes[start] !== 8) return null;
      frame = { height: word(start + 1), width: word(start + 3), components: new Map() };
      for (let one = start + 6; one < at; one += 3) {
        frame.components.set(bytes[one], { across: bytes[one + 1] >> 4, down: bytes[one + 1] & 15 });
      }
    } else if (marker === JPEG.tables) {
      for (let table = start; table < at; ) table = readHuffmanTable(bytes, table, tables);
    } else if (marker === JPEG.interval) {
      interval = word(start);
    } else if (marker === JPEG.profile && String.fromCharCode(...bytes.subarray(start, start + 11)) === "ICC_PROFILE") {
      profile = true;
    } else if (marker === JPEG.scan) {
      if (!frame) return null;
      const parts = [];
      for (let one = start + 1; one < start + 1 + 2 * bytes[start]; one += 2) {
        const component = frame.components.get(bytes[one]);
        const dc = tables.get(bytes[one + 1] >> 4);
        const ac = tables.get(16 | (bytes[one + 1] & 15));
        if (!component || !dc || !ac || scanned.has(component)) return null;
        scanned.add(component);
        parts.push({ component, dc, ac });
      }
      at = endOfScan(bytes, at, blocksOfScan(frame, parts), interval);
      if (at < 0) return null;
    }
  }
  if (bytes[at] !== 0xff || !frame || scanned.size !== frame.components.size) return null;
  // Grey levels with a profile, and inks, are converted differently by browsers.
  if (frame.components.size !== 3 && (frame.components.size !== 1 || profile)) return null;
  return { width: frame.width, height: frame.height };
}

// Reads one table into code -> (length << 8 | symbol) for the next 16 bits; returns where it ends.
function readHuffmanTable(bytes, start, tables) {
  const lookup = new Uint16Array(65536);
  let symbol = start + 17;
  let code = 0;
  for (let length = 1; length <= 16; length += 1) {
    for (let count = bytes[start + length]; count > 0; count -= 1) {
      lookup.fill((length << 8) | bytes[symbol], code, code + (1 << (16 - length)));
      code += 1 << (16 - length);
      symbol += 1;
    }
  }
  tables.set(bytes[start], lookup);
  return symbol;
}

// Returns the number of units (MCU) of a scan, and the tables of each block of one.
function blocksOfScan(frame, parts) {
  const all = [...frame.components.values()];
  const across = Math.max(...all.map((one) => one.across));
  const down = Math.max(...all.map((one) => one.down));
  if (parts.length === 1) {
    const { component } = parts[0];
    const columns = Math.ceil(Math.ceil((frame.width * component.across) / across) / 8);
    const rows = Math.ceil(Math.ceil((frame.height * component.down) / down) / 8);
    return { units: columns * rows, blocks: parts };
  }
  const units = Math.ceil(frame.width / (8 * across)) * Math.ceil(frame.height / (8 * down));
  const blocks = parts.flatMap((part) => Array(part.component.across * part.component.down).fill(part));
  return { units, blocks };
}

// Reads every code of a scan; returns where its next marker is, or -1 where data is missing, wrong or left over.
function endOfScan(bytes, at, { units, blocks }, interval) {
  let bits = 0; // The last bits read, `held` of them not used yet.
  let held = 0;
  let invented = 0; // Zeros put behind the data's end.
  const fill = () => {
    while (held <= 24) {
      const byte = bytes[at];
      const ended = at >= bytes.length || (byte === 0xff && bytes[at + 1] !== 0);
      bits = (bits << 8) | (ended ? 0 : byte);
      if (ended) invented += 8;
      else at += byte === 0xff ? 2 : 1;
      held += 8;
    }
  };
  const next = (table) => {
    fill();
    const entry = table[(bits >>> (held - 16)) & 0xffff];
    held -= entry >> 8;
    fill();
    held -= entry & 15;
    return entry;
  };
  let restarts = 0;
  for (let unit = 1; unit <= units; unit += 1) {
    for (const { dc, ac } of blocks) {
      if (next(dc) === 0) return -1;
      for (let coefficient = 1; coefficient < 64; coefficient += 1) {
        const entry = next(ac);
        if (entry === 0) return -1;
        const run = (entry >> 4) & 15;
        if ((entry & 15) === 0 && run < 15) break;
        coefficient += run;
        if (coefficient > 63) return -1;
      }
      if (held < invented) return -1;
    }
    const last = unit === units;
    if (!last && (interval === 0 || unit % interval !== 0)) continue;
    if (held - invented >= 8 || bytes[at] !== 0xff) return -1;
    if (last) break;
    if (bytes[at + 1] !== 0xd0 + (restarts % 8)) return -1;
    restarts += 1;
    at += 2;
    bits = held = invented = 0;
  }
  return at;
}

// Returns {width, height}, or null where the PNG is damaged or of a kind that is sent as it is: more than 8
// bits a sample, a palette, transparency, several frames.
async function intactPng(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data = [];
  let header = null;
  let ended = false;
  for (let at = 8; !ended && at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (PNG_CHUNKS_TO_KEEP.includes(kind) || at + 12 + length > bytes.length) return null;
    if (kind === "IHDR") {
      header = { width: view.getUint32(at + 8), height: view.getUint32(at + 12), rest: bytes.subarray(at + 16, at + 21) };
    }
    if (kind === "IDAT") data.push(bytes.subarray(at + 8, at + 8 + length));
    ended = kind === "IEND";
    at += 12 + length;
  }
  if (!header || !ended) return null;
  const { width, height, rest } = header;
  const [depth, colour, , , interlaced] = rest;
  if (depth !== 8 || (colour !== 0 && colour !== 2) || interlaced) return null;
  // Fails at a wrong checksum, and where data is missing or left over.
  const reader = new Blob(data).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  let size = 0;
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) size += piece.value.length;
  return size === height * (1 + width * (colour === 0 ? 1 : 3)) ? { width, height } : null;
}
