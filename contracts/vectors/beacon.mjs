// Writes beacon/: beacon states of both forks with the proofs that publication and delegation need. Made with Lodestar's SSZ
// types, which share no code with the contracts or the Rust crates. Run from the project's root: node contracts/vectors/beacon.mjs
//
// beacon/<fork>.json
//   generalizedIndices  in the state: the half of proposer_lookahead for the next epoch, and the validators list
//   states[]            whole states, their SSZ bytes beside this file (ssz, brotli); all branches lead to stateRoot, lowest node first
//     header, blockRoot           the block header with the state's root, and its root, which is what EIP-4788 answers
//     lookahead                   all 64 indices; chunks and branch are those of the second half, currentChunks and currentBranch
//                                 those of the first
//     validators[]                pubkeyRoot and withdrawalCredentials are the Validator container's first two leaves;
//                                 branch starts beside their parent
//   virtual[]           one validator with a huge index in an otherwise empty tree: no such state could be stored
// Integers are decimal strings, for JSON readers that would round them.
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";
import { BranchNode, LeafNode, Tree, concatGindices, toGindex, zeroNode } from "@chainsafe/persistent-merkle-tree";
import { BitArray, isBasicType } from "@chainsafe/ssz";
import { ssz } from "@lodestar/types";
import { bls12_381 as bls } from "@noble/curves/bls12-381";
import { keccak256, toUtf8Bytes } from "ethers";

const OUT = new URL("beacon/", import.meta.url);
const VALIDATOR_COUNTS = [0, 1, 2, 5, 6, 22, 33, 70, 161];
const HALF = 32;

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const hex = (bytes) => "0x" + Buffer.from(bytes).toString("hex");

/** A stream that looks random and can be made again. */
class Stream {
  #label;
  #counter = 0;
  constructor(label) {
    this.#label = label;
  }
  bytes(length) {
    const out = Buffer.alloc(length);
    for (let at = 0; at < length; at += 32) sha256(this.#label, String(this.#counter++)).copy(out, at);
    return new Uint8Array(out);
  }
  integer(below) {
    return Number(Buffer.from(this.bytes(6)).readUIntBE(0, 6) % below);
  }
}

/** A value of any SSZ type: long vectors nearly empty, so that the states compress; lists a few elements long. */
function value(type, stream) {
  if (type.fields) return Object.fromEntries(Object.entries(type.fields).map(([name, field]) => [name, value(field, stream)]));
  if (isBasicType(type)) {
    if (type.byteLength === 1) return type.typeName === "boolean" ? stream.integer(2) === 1 : stream.integer(256);
    const number = stream.integer(2 ** 40);
    return typeof type.defaultValue() === "bigint" ? BigInt(number) : number;
  }
  const empty = type.defaultValue();
  if (empty instanceof Uint8Array) return stream.bytes(empty.length || stream.integer(Math.min(type.limitBytes ?? 32, 32)) + 1);
  if (empty instanceof BitArray) return BitArray.fromBoolArray(Array.from({ length: empty.bitLen }, () => stream.integer(2) === 1));
  if (type.isList) return Array.from({ length: stream.integer(7) }, () => value(type.elementType, stream));
  if (type.length <= 64) return Array.from({ length: type.length }, () => value(type.elementType, stream));
  const sparse = Array.from({ length: type.length }, () => type.elementType.defaultValue());
  for (const at of [0, 1, type.length - 1, stream.integer(type.length), stream.integer(type.length)]) {
    sparse[at] = value(type.elementType, stream);
  }
  return sparse;
}

const FAR = Infinity;

/** The key of the validator at an index, the same in every state and in delegations.json. */
const secretKeyOf = (index) => new Uint8Array(Buffer.from(keccak256(toUtf8Bytes(`validator ${index}`)).slice(2), "hex")).with(0, 0);
const pubkeys = new Map();
function pubkeyOf(index) {
  if (!pubkeys.has(index)) pubkeys.set(index, bls.getPublicKey(secretKeyOf(index)));
  return pubkeys.get(index);
}

/** Withdrawal credentials of each kind in turn: BLS, execution, compounding, and execution ones that aren't well formed. */
function credentials(index, stream) {
  const address = stream.bytes(20);
  const padding = new Uint8Array(11);
  if (index % 5 === 0) return Uint8Array.from([0x01, ...padding, ...address]);
  if (index % 5 === 1) return Uint8Array.from([0x02, ...padding, ...address]);
  if (index % 5 === 2) return Uint8Array.from([0x00, ...stream.bytes(31)]);
  if (index % 5 === 3) return Uint8Array.from([0x01, ...padding.with(stream.integer(11), 1), ...address]);
  return Uint8Array.from([0x03, ...padding, ...address]);
}

function validator(index, stream) {
  return {
    pubkey: pubkeyOf(index),
    withdrawalCredentials: credentials(index, stream),
    effectiveBalance: index % 3 === 0 ? 2048e9 : 32e9,
    slashed: index % 7 === 3,
    activationEligibilityEpoch: index,
    activationEpoch: index % 4 === 0 ? FAR : index + 5,
    exitEpoch: index % 6 === 0 ? 400_000 + index : FAR,
    withdrawableEpoch: index % 6 === 0 ? 400_256 + index : FAR,
  };
}

/** Indices at every edge: of chunks, of 32 bits, of what JavaScript counts to, of uint64. */
function lookahead(count, stream) {
  const odd = [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 32n + 7n, 2n ** 40n - 1n, 2n ** 40n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n];
  return Array.from({ length: 2 * HALF }, (_, i) => {
    if (count === 5) return BigInt(i); // In order: a half or a chunk in the wrong place shows at once.
    if (count % 2 === 1 && i % 3 === 0) return odd[(i / 3) % odd.length];
    return BigInt(stream.integer(Math.max(count, 1)));
  });
}

/** Where a field of fixed length begins in the serialized container. */
function offsetOf(type, name) {
  let offset = 0;
  for (const [field, { fixedSize }] of Object.entries(type.fields)) {
    if (field === name) return offset;
    offset += fixedSize ?? 4;
  }
  throw new Error(`no field ${name}`);
}

function headerOf(stateRoot, slot, stream) {
  const header = { slot, proposerIndex: stream.integer(2 ** 40), parentRoot: stream.bytes(32), stateRoot, bodyRoot: stream.bytes(32) };
  return {
    header: {
      slot: String(slot),
      proposerIndex: String(header.proposerIndex),
      parentRoot: hex(header.parentRoot),
      stateRoot: hex(stateRoot),
      bodyRoot: hex(header.bodyRoot),
    },
    blockRoot: hex(ssz.phase0.BeaconBlockHeader.hashTreeRoot(header)),
  };
}

const half = (gindex, second) => concatGindices([gindex, toGindex(1, second ? 1n : 0n)]);

function chunksOf(indices) {
  return Array.from({ length: indices.length / 4 }, (_, i) => {
    const chunk = Buffer.alloc(32);
    indices.slice(4 * i, 4 * i + 4).forEach((index, at) => chunk.writeBigUInt64LE(index, 8 * at));
    return hex(chunk);
  });
}

/** The validator at an index, with the branch from its first two leaves' parent up to the state's root. */
function proveValidator(type, tree, index, container) {
  const gindex = concatGindices([type.getPathInfo(["validators", index]).gindex, toGindex(2, 0n)]);
  return {
    index: String(index),
    secretKey: hex(secretKeyOf(index)),
    pubkey: hex(container.pubkey),
    pubkeyRoot: hex(tree.getRoot(gindex * 2n)),
    withdrawalCredentials: hex(container.withdrawalCredentials),
    generalizedIndex: String(gindex),
    branch: tree.getSingleProof(gindex).map(hex),
  };
}

function state(fork, count) {
  const type = ssz[fork].BeaconState;
  const stream = new Stream(`${fork} ${count}`);
  const slot = 12_000_000 + 32 * count + 3;
  const validators = Array.from({ length: count }, (_, i) => validator(i, stream));
  const content = {
    ...value(type, stream),
    slot,
    validators,
    balances: validators.map(() => stream.integer(2 ** 45)),
    previousEpochParticipation: validators.map(() => stream.integer(8)),
    currentEpochParticipation: validators.map(() => stream.integer(8)),
    inactivityScores: validators.map((_, i) => i % 5),
  };
  if (count === 0) for (const [name, field] of Object.entries(type.fields)) if (field.isList) content[name] = [];
  const indices = lookahead(count, stream);
  const bytes = type.serialize(content);
  // As bytes, since Lodestar's own numbers end at 2^53.
  indices.forEach((index, i) => Buffer.from(bytes.buffer).writeBigUInt64LE(index, offsetOf(type, "proposerLookahead") + 8 * i));

  const view = type.deserializeToView(bytes);
  const tree = new Tree(view.node);
  const gindex = type.getPathInfo(["proposerLookahead"]).gindex;
  const file = `${fork}-${count}.ssz.br`;
  writeFileSync(new URL(file, OUT), brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_LGWIN]: 22 } }));
  const edges = new Set([0, 1, 2, 3, 4, 5, 20, 21, 32, 33, 63, 64, 84, 85, 86, count - 1].filter((i) => i >= 0 && i < count));
  return {
    ssz: file,
    sszLength: String(bytes.length),
    sszSha256: hex(sha256(bytes)),
    validatorCount: String(count),
    ...headerOf(view.hashTreeRoot(), slot, stream),
    lookahead: indices.map(String),
    chunks: chunksOf(indices.slice(HALF)),
    branch: tree.getSingleProof(half(gindex, true)).map(hex),
    currentChunks: chunksOf(indices.slice(0, HALF)),
    currentBranch: tree.getSingleProof(half(gindex, false)).map(hex),
    validators: [...edges].sort((a, b) => a - b).map((i) => proveValidator(type, tree, i, validators[i])),
  };
}

/** A list that holds one validator at the index, and nothing else but the length. */
function virtualList(type, index, node) {
  const set = (depth, at) => {
    const tree = new Tree(zeroNode(depth));
    tree.setNode(toGindex(depth, at), node);
    return tree.rootNode;
  };
  let contents;
  if (type.typeName.startsWith("List")) {
    contents = set(40, BigInt(index));
  } else {
    let [start, depth] = [0n, 0];
    while (BigInt(index) >= start + 4n ** BigInt(depth)) start += 4n ** BigInt(depth++);
    contents = new BranchNode(set(2 * depth, BigInt(index) - start), zeroNode(0));
    while (depth--) contents = new BranchNode(zeroNode(2 * depth), contents);
  }
  const length = Buffer.alloc(32);
  length.writeBigUInt64LE(BigInt(index) + 1n);
  return new BranchNode(contents, LeafNode.fromRoot(length));
}

function virtual(fork, index) {
  const type = ssz[fork].BeaconState;
  const stream = new Stream(`${fork} virtual ${index}`);
  const container = validator(index, stream);
  const tree = new Tree(type.defaultViewDU().node);
  const list = virtualList(type.fields.validators, index, ssz.phase0.Validator.toView(container).node);
  tree.setNode(type.getPathInfo(["validators"]).gindex, list);
  return { ...headerOf(tree.root, 12_000_000, stream), ...proveValidator(type, tree, index, container) };
}

// The last of a progressive subtree, and the first of the next, beyond 32 bits.
const SUBTREE_EDGE = (4 ** 17 - 1) / 3;
const HUGE = {
  fulu: [2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 5, SUBTREE_EDGE - 1, SUBTREE_EDGE, 2 ** 40 - 1],
  gloas: [2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 5, SUBTREE_EDGE - 1, SUBTREE_EDGE, 2 ** 40 - 1, 2 ** 40, 2 ** 53 - 2],
};

mkdirSync(OUT, { recursive: true });
for (const fork of ["fulu", "gloas"]) {
  const type = ssz[fork].BeaconState;
  const vectors = {
    fork,
    generalizedIndices: {
      nextLookahead: String(half(type.getPathInfo(["proposerLookahead"]).gindex, true)),
      validators: String(type.getPathInfo(["validators"]).gindex),
    },
    states: VALIDATOR_COUNTS.map((count) => state(fork, count)),
    virtual: HUGE[fork].map((index) => virtual(fork, index)),
  };
  writeFileSync(fileURLToPath(new URL(`${fork}.json`, OUT)), JSON.stringify(vectors, null, 2) + "\n");
}
