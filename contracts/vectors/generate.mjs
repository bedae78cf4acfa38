// Writes eip712.json: golden vectors of what gateways sign. Made with ethers, which shares no code with the contracts or the
// Rust crates, so that the two can't agree on a mistake. Run from the project's root: node contracts/vectors/generate.mjs
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SigningKey, TypedDataEncoder, concat, computeAddress, keccak256, toBeHex, toUtf8Bytes } from "ethers";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

const types = {
  SoftBlock: [
    { name: "number", type: "uint64" },
    { name: "parentLink", type: "bytes32" },
    { name: "blockHash", type: "bytes32" },
    { name: "anchorNumber", type: "uint64" },
    { name: "anchorHash", type: "bytes32" },
  ],
  Receipt: [
    { name: "number", type: "uint64" },
    { name: "parentLink", type: "bytes32" },
    { name: "txIndex", type: "uint32" },
    { name: "txHash", type: "bytes32" },
    { name: "payee", type: "address" },
    { name: "anchorNumber", type: "uint64" },
    { name: "anchorHash", type: "bytes32" },
  ],
};

/** A word that looks random and can be made again. */
const word = (label) => keccak256(toUtf8Bytes(label));

const domain = {
  name: "Baton",
  version: "1",
  chainId: 31337,
  verifyingContract: "0x1234567890AbcdEF1234567890aBcdef12345678",
};

function signed(primaryType, message, privateKey) {
  const own = { [primaryType]: types[primaryType] };
  const digest = TypedDataEncoder.hash(domain, own, message);
  const signature = new SigningKey(privateKey).sign(digest);
  const highS = toBeHex(ORDER - BigInt(signature.s), 32);
  const flipped = signature.v === 27 ? 28 : 27;
  return {
    ...message,
    structHash: TypedDataEncoder.hashStruct(primaryType, own, message),
    digest,
    privateKey,
    signer: computeAddress(privateKey),
    v: signature.v,
    r: signature.r,
    s: signature.s,
    signature: concat([signature.r, signature.s, toBeHex(signature.v, 1)]),
    // The same point with s in the upper half: mathematically valid, and refused.
    highS,
    highSignature: concat([signature.r, highS, toBeHex(flipped, 1)]),
  };
}

const MAX_UINT64 = (2n ** 64n - 1n).toString();
const keys = [word("key 0"), word("key 1"), toBeHex(1, 32)];

const softBlocks = [
  { number: "1", parentLink: word("genesis"), blockHash: word("block 1"), anchorNumber: "100", anchorHash: word("anchor 100") },
  { number: "384", parentLink: word("link 383"), blockHash: word("block 384"), anchorNumber: "23000000", anchorHash: word("anchor 23000000") },
  { number: MAX_UINT64, parentLink: "0x" + "ff".repeat(32), blockHash: "0x" + "ff".repeat(32), anchorNumber: MAX_UINT64, anchorHash: "0x" + "ff".repeat(32) },
  { number: "0", parentLink: "0x" + "00".repeat(32), blockHash: "0x" + "00".repeat(32), anchorNumber: "0", anchorHash: "0x" + "00".repeat(32) },
].map((message, i) => signed("SoftBlock", message, keys[i % keys.length]));

const receipts = [
  { number: "7", parentLink: word("link 6"), txIndex: "3", txHash: word("transaction"), payee: "0x00000000000000000000000000000000000A11cE", anchorNumber: "100", anchorHash: word("anchor 100") },
  { number: MAX_UINT64, parentLink: "0x" + "ff".repeat(32), txIndex: "4294967295", txHash: "0x" + "ff".repeat(32), payee: "0xFFfFfFffFFfffFFfFFfFFFFFffFFFffffFfFFFfF", anchorNumber: MAX_UINT64, anchorHash: "0x" + "ff".repeat(32) },
].map((message, i) => signed("Receipt", message, keys[i % keys.length]));

const genesisLink = word("genesis link");
const blockHashes = Array.from({ length: 12 }, (_, i) => word(`chain block ${i + 1}`));
const links = [];
for (const hash of blockHashes) links.push(keccak256(concat([links.at(-1) ?? genesisLink, hash])));

const vectors = {
  domain: {
    ...domain,
    separator: TypedDataEncoder.hashDomain(domain),
    typeHash: keccak256(toUtf8Bytes("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")),
  },
  typeHashes: Object.fromEntries(
    Object.keys(types).map((name) => [name, keccak256(toUtf8Bytes(TypedDataEncoder.from({ [name]: types[name] }).encodeType(name)))]),
  ),
  softBlocks,
  receipts,
  chain: { genesisLink, blockHashes, links },
};

writeFileSync(fileURLToPath(new URL("eip712.json", import.meta.url)), JSON.stringify(vectors, null, 2) + "\n");
