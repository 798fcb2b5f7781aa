// Makes a large JPEG or PNG smaller before it is sent: the server reads no more than 1024 pixels a side.
"use strict";

const SHRINK = {
  overBytes: 2 ** 20, // A smaller file is sent as it is,
  overPixels: 3072, // and so is a picture with no side longer than this.
  longestSide: 2048,
  quality: 0.95,
};

// Returns the file itself where it need not or must not be shrunk: DICOM, TIFF, 16 bits, transparency, damage.
// Raises where the file can no longer be read.
async function shrunk(file) {
  if (file.size < SHRINK.overBytes) return file;
  const bytes = new Uint8Array(await file.arrayBuffer());
  try {
    const size = await intactPicture(bytes);
    if (!size || Math.max(size.width, size.height) <= SHRINK.overPixels) return file;
    const small = await redrawn(file);
    return small && small.size < file.size / 2 ? small : file;
  } catch {
    return file; // Damaged, or a browser that cannot do it.
  }
}

// By content, as the server detects formats: a name proves little.
function pictureKind(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return "jpeg";
  return bytes[0] === 0x89 && bytes[1] === 0x50 ? "png" : null;
}

async function intactPicture(bytes) {
  if (String.fromCharCode(...bytes.subarray(128, 132)) === "DICM") return null;
  const kind = pictureKind(bytes);
  if (kind === "jpeg") return intactJpeg(bytes);
  return kind === "png" ? intactPng(bytes) : null;
}

// Upright as EXIF says, the samples as they are stored.
async function redrawn(file) {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  const scale = SHRINK.longestSide / Math.max(picture.width, picture.height);
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  const context = canvas.getContext("2d", { alpha: false });
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", SHRINK.quality));
}
