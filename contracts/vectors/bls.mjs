// Writes bls.json and delegations.json: BLS signatures as validators make them, and the delegations they sign. Made with noble's
// curves, Lodestar's SSZ and ethers, which share no code with the contracts or the Rust crates. Run from the project's root:
// node contracts/vectors/bls.mjs
//
// Points are given twice: compressed (48 and 96 bytes, as Ethereum's consensus layer has them) and, named *Point, uncompressed
// as EIP-2537 takes them (128 and 256 bytes). Integers are decimal strings.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { ContainerType, UintBigintType } from "@chainsafe/ssz";
import { ssz } from "@lodestar/types";
import { bls12_381 as bls } from "@noble/curves/bls12-381";
import { TypedDataEncoder, keccak256, toUtf8Bytes } from "ethers";

const { Fp, Fp2 } = bls.fields;
const G1 = bls.G1.ProjectivePoint;
const G2 = bls.G2.ProjectivePoint;
/** The tag of Ethereum's signatures; the other is what a library without proof of possession would use. */
const DST = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
const WRONG_DST = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_";

const sha256 = (bytes) => new Uint8Array(createHash("sha256").update(bytes).digest());
const hex = (bytes) => "0x" + Buffer.from(bytes).toString("hex");
const bytes = (text) => Uint8Array.from(Buffer.from(text.replace(/^0x/, ""), "hex"));
const file = (name) => new URL(name, import.meta.url);

const fp = (x) => x.toString(16).padStart(128, "0");
const fp2 = ({ c0, c1 }) => fp(c0) + fp(c1);
const encode1 = (point) => (point.equals(G1.ZERO) ? "0x" + "00".repeat(128) : "0x" + fp(point.toAffine().x) + fp(point.toAffine().y));
const encode2 = (point) => (point.equals(G2.ZERO) ? "0x" + "00".repeat(256) : "0x" + fp2(point.toAffine().x) + fp2(point.toAffine().y));

const HALF_P = (Fp.ORDER - 1n) / 2n;
const number = (part) => BigInt(hex(part));
/** A compressed point, without the check that it is in the subgroup, for those that aren't. */
function decompress1(compressed) {
  const flags = compressed[0];
  const x = Fp.create(number(compressed.with(0, flags & 0x1f)));
  let y = Fp.sqrt(Fp.add(Fp.pow(x, 3n), 4n));
  if (y > HALF_P !== Boolean(flags & 0x20)) y = Fp.neg(y);
  return G1.fromAffine({ x, y });
}
function decompress2(compressed) {
  const flags = compressed[0];
  const x = Fp2.fromBigTuple([number(compressed.slice(48)), number(compressed.slice(0, 48).with(0, flags & 0x1f))]);
  let y = Fp2.sqrt(Fp2.add(Fp2.pow(x, 3n), Fp2.fromBigTuple([4n, 4n])));
  if ((y.c1 > HALF_P || (y.c1 === 0n && y.c0 > HALF_P)) !== Boolean(flags & 0x20)) y = Fp2.neg(y);
  return G2.fromAffine({ x, y });
}
/** The way back, again without the check. */
function compress1(point) {
  const { x, y } = point.toAffine();
  const out = bytes(fp(x).slice(32));
  out[0] |= 0x80 | (y > HALF_P ? 0x20 : 0);
  return out;
}
function compress2(point) {
  const { x, y } = point.toAffine();
  const out = bytes(fp(x.c1).slice(32) + fp(x.c0).slice(32));
  out[0] |= 0x80 | (y.c1 > HALF_P || (y.c1 === 0n && y.c0 > HALF_P) ? 0x20 : 0);
  return out;
}
/** r times a point outside the subgroup: its part outside alone. By hand, since noble reduces scalars below r. */
function torsion(point) {
  const zero = point.constructor.ZERO;
  let sum = zero;
  for (const bit of bls.params.r.toString(2)) {
    sum = sum.double();
    if (bit === "1") sum = sum.add(point);
  }
  assert(!sum.equals(zero));
  return sum;
}

const sign = (message, secretKey, tag = DST) => bls.sign(message, secretKey, { DST: tag });
const hashToCurve = (message, tag) => G2.fromAffine(bls.G2.hashToCurve(message, { DST: tag }).toAffine());

// ethereum/bls12-381-tests v0.1.2: the keys and messages of its cases, and the signatures that it expects, one row per key.
const KEYS = [
  "263dbd792f5b1be47ed85f8938c0f29586af0d3ac7b977f21c278fe1462040e3",
  "47b8192d77bf871b62e87859d653922725724a5c031afeabc60bcef5ff665138",
  "328388aff0d4a5b7dc9205abd374e7e98f3cd9f3418edb4eafda5fb16473d216",
].map(bytes);
const MESSAGES = ["00", "56", "ab"].map((byte) => bytes(byte.repeat(32)));
const SIGNATURES = [
  [
    "b6ed936746e01f8ecf281f020953fbf1f01debd5657c4a383940b020b26507f6076334f91e2366c96e9ab279fb5158090352ea1c5b0c9274504f4f0e7053af24802e51e4568d164fe986834f41e55c8e850ce1f98458c0cfc9ab380b55285a55",
    "882730e5d03f6b42c3abc26d3372625034e1d871b65a8a6b900a56dae22da98abbe1b68f85e49fe7652a55ec3d0591c20767677e33e5cbb1207315c41a9ac03be39c2e7668edc043d6cb1d9fd93033caa8a1c5b0e84bedaeb6c64972503a43eb",
    "91347bccf740d859038fcdcaf233eeceb2a436bcaaee9b2aa3bfb70efe29dfb2677562ccbea1c8e061fb9971b0753c240622fab78489ce96768259fc01360346da5b9f579e5da0d941e4c6ba18a0e64906082375394f337fa1af2b7127b0d121",
  ],
  [
    "b23c46be3a001c63ca711f87a005c200cc550b9429d5f4eb38d74322144f1b63926da3388979e5321012fb1a0526bcd100b5ef5fe72628ce4cd5e904aeaa3279527843fae5ca9ca675f4f51ed8f83bbf7155da9ecc9663100a885d5dc6df96d9",
    "af1390c3c47acdb37131a51216da683c509fce0e954328a59f93aebda7e4ff974ba208d9a4a2a2389f892a9d418d618418dd7f7a6bc7aa0da999a9d3a5b815bc085e14fd001f6a1948768a3f4afefc8b8240dda329f984cb345c6363272ba4fe",
    "9674e2228034527f4c083206032b020310face156d4a4685e2fcaec2f6f3665aa635d90347b6ce124eb879266b1e801d185de36a0a289b85e9039662634f2eea1e02e670bc7ab849d006a70b2f93b84597558a05b879c8d445f387a5d5b653df",
  ],
  [
    "948a7cb99f76d616c2c564ce9bf4a519f1bea6b0a624a02276443c245854219fabb8d4ce061d255af5330b078d5380681751aa7053da2c98bae898edc218c75f07e24d8802a17cd1f6833b71e58f5eb5b94208b4d0bb3848cecb075ea21be115",
    "a4efa926610b8bd1c8330c918b7a5e9bf374e53435ef8b7ec186abf62e1b1f65aeaaeb365677ac1d1172a1f5b44b4e6d022c252c58486c0a759fbdc7de15a756acc4d343064035667a594b4c2a6f0b0b421975977f297dba63ee2f63ffe47bb6",
    "ae82747ddeefe4fd64cf9cedb9b04ae3e8a43420cd255e3c7cd06a8d88b7c7f8638543719981c5d16fa3527c468c25f0026704a6951bde891360c7e8d12ddee0559004ccdbe6046b55bae1b257ee97f7cdb955773d7cf29adf3ccbb9975e4eb9",
  ],
].map((row) => row.map(bytes));
const ONE = bytes("01".padStart(64, "0"));
const ONE_SIGNATURE = bytes(
  "a42ae16f1c2a5fa69c04cb5998d2add790764ce8dd45bf25b29b4700829232052b52352dcff1cf255b3a7810ad7269601810f03b2bc8b68cf289cf295b206770605a190b6842583e47c3d1c0f73c54907bfb2a602157d46a4353a20283018763",
);
/** Its points on the curves but outside the subgroups (deserialization_fails_not_in_G1 and _G2). */
const OUTSIDE_G1 = bytes("8" + "123456789abcdef0".repeat(6).slice(0, -1));
const OUTSIDE_G2 = bytes("8" + "123456789abcdef0".repeat(12).slice(0, -1));

const INFINITY = (length) => Uint8Array.from([0xc0, ...new Uint8Array(length - 1)]);

function verifyCase(name, pubkey, message, signature, output, points = {}) {
  const pubkeyPoint = points.pubkey ?? (pubkey[0] & 0x40 ? G1.ZERO : decompress1(pubkey));
  const signaturePoint = points.signature ?? (signature[0] & 0x40 ? G2.ZERO : decompress2(signature));
  return {
    name,
    pubkey: hex(pubkey),
    pubkeyPoint: encode1(pubkeyPoint),
    message: hex(message),
    signature: hex(signature),
    signaturePoint: typeof signaturePoint === "string" ? signaturePoint : encode2(signaturePoint),
    output,
  };
}

const pubkeys = KEYS.map((key) => bls.getPublicKey(key));
const grid = (work) => KEYS.flatMap((_, i) => MESSAGES.map((message, j) => work(i, j, message)));
const some = bytes("12".repeat(32));
const verify = [
  ...grid((i, j, message) => {
    assert.deepEqual(sign(message, KEYS[i]), SIGNATURES[i][j], "noble signs as Ethereum expects");
    return verifyCase(`valid_${i}_${j}`, pubkeys[i], message, SIGNATURES[i][j], true);
  }),
  ...grid((i, j, message) => verifyCase(`wrong_pubkey_${i}_${j}`, pubkeys[(i + 1) % 3], message, SIGNATURES[i][j], false)),
  ...grid((i, j, message) => {
    // Four bytes of x overwritten: no point of the curve any more, so the uncompressed form keeps the old y.
    const tampered = Uint8Array.from([...SIGNATURES[i][j].slice(0, 92), 0xff, 0xff, 0xff, 0xff]);
    const point = encode2(decompress2(SIGNATURES[i][j]));
    const signature = point.slice(0, 2 + 120) + "ffffffff" + point.slice(2 + 128);
    return verifyCase(`tampered_signature_${i}_${j}`, pubkeys[i], message, tampered, false, { signature });
  }),
  verifyCase("one_privkey", bls.getPublicKey(ONE), some, ONE_SIGNATURE, true),
  verifyCase("infinity_pubkey_and_infinity_signature", INFINITY(48), some, INFINITY(96), false),
  // Ours: either of them alone, the other tag, and points that differ from the right ones by a part outside the subgroup only,
  // which a pairing alone wouldn't tell.
  verifyCase("infinity_pubkey", INFINITY(48), some, ONE_SIGNATURE, false),
  verifyCase("infinity_signature", pubkeys[0], some, INFINITY(96), false),
  verifyCase("wrong_tag", pubkeys[0], some, sign(some, KEYS[0], WRONG_DST), false),
  verifyCase("pubkey_outside_subgroup", OUTSIDE_G1, MESSAGES[0], SIGNATURES[0][0], false),
  verifyCase("signature_outside_subgroup", pubkeys[0], MESSAGES[0], OUTSIDE_G2, false),
];
for (const [name, move] of [
  ["pubkey_moved_out_of_subgroup", { pubkey: decompress1(pubkeys[0]).add(torsion(decompress1(OUTSIDE_G1))) }],
  ["signature_moved_out_of_subgroup", { signature: decompress2(SIGNATURES[0][0]).add(torsion(decompress2(OUTSIDE_G2))) }],
]) {
  const pubkey = move.pubkey ? compress1(move.pubkey) : pubkeys[0];
  const signature = move.signature ? compress2(move.signature) : SIGNATURES[0][0];
  verify.push(verifyCase(name, pubkey, MESSAGES[0], signature, false, move));
}

const rfc = JSON.parse(readFileSync(file("rfc9380.json"), "utf8"));
const element = ([c0, c1]) => fp(BigInt(c0)) + fp(BigInt(c1));
const rfcPoint = ({ x, y }) => "0x" + element(x) + element(y);
const rfc9380 = {
  source: rfc.source,
  dst: rfc.dst,
  vectors: rfc.vectors.map(({ msg, u, Q0, Q1, P }) => ({
    message: hex(toUtf8Bytes(msg)),
    u0: "0x" + element(u[0]),
    u1: "0x" + element(u[1]),
    // As the map gives them, before the cofactor is cleared; EIP-2537's map clears it, which the sum of both doesn't notice.
    q0: rfcPoint(Q0),
    q1: rfcPoint(Q1),
    point: rfcPoint(P),
  })),
};
for (const { message, point } of rfc9380.vectors) assert.equal(encode2(hashToCurve(bytes(message), rfc.dst)), point);

writeFileSync(
  file("bls.json"),
  JSON.stringify(
    {
      source: "ethereum/bls12-381-tests v0.1.2 (verify, deserialization), and cases of our own; see bls.mjs",
      dst: DST,
      verify,
      rfc9380,
      hashToCurve: MESSAGES.map((message) => ({ message: hex(message), point: encode2(hashToCurve(message, DST)) })),
    },
    null,
    2,
  ) + "\n",
);

// Delegations, in Commit-Boost's wrapping of proposer commitments (its docs/docs/developing/prop-commit-signing.md).
const { Bytes32 } = ssz;
const Commitment = new ContainerType({ data: Bytes32, moduleSigningId: Bytes32, nonce: new UintBigintType(8), chainId: new UintBigintType(32) });
const DOMAIN_TYPE = bytes("6d6d6f43");
const SIGNING_ID = keccak256(toUtf8Bytes("baton.delegation.v1"));
const types = {
  Delegation: [
    { name: "validatorIndex", type: "uint64" },
    { name: "gateway", type: "uint16" },
    { name: "nonce", type: "uint64" },
    { name: "deadline", type: "uint64" },
  ],
};

function commitment({ data, signingId, nonce, chainId, genesisForkVersion }) {
  const forkData = ssz.phase0.ForkData.hashTreeRoot({ currentVersion: bytes(genesisForkVersion), genesisValidatorsRoot: new Uint8Array(32) });
  const domain = Uint8Array.from([...DOMAIN_TYPE, ...forkData.slice(0, 28)]);
  const objectRoot = Commitment.hashTreeRoot({ data: bytes(data), moduleSigningId: bytes(signingId), nonce, chainId });
  return { domain: hex(domain), objectRoot: hex(objectRoot), signingRoot: hex(ssz.phase0.SigningData.hashTreeRoot({ objectRoot, domain })) };
}

const MAX_UINT64 = (2n ** 64n - 1n).toString();
const REGISTRY = "0x1234567890AbcdEF1234567890aBcdef12345678";
const delegations = [
  { chainId: "1", genesisForkVersion: "0x00000000", message: { validatorIndex: "0", gateway: "1", nonce: "0", deadline: "2000000000" } },
  { chainId: "560048", genesisForkVersion: "0x10000910", message: { validatorIndex: "1234567", gateway: "112", nonce: "1", deadline: "1900000000" } },
  { chainId: "31337", genesisForkVersion: "0x10000038", message: { validatorIndex: "4294967301", gateway: "32767", nonce: "256", deadline: "12345678901" } },
  { chainId: "31337", genesisForkVersion: "0x10000038", message: { validatorIndex: "3", gateway: "0", nonce: "7", deadline: MAX_UINT64 } },
  { chainId: MAX_UINT64, genesisForkVersion: "0xffffffff", message: { validatorIndex: MAX_UINT64, gateway: "65535", nonce: (2n ** 64n - 2n).toString(), deadline: MAX_UINT64 } },
].map(({ chainId, genesisForkVersion, message }, i) => {
  const domain = { name: "Baton", version: "1", chainId: BigInt(chainId), verifyingContract: REGISTRY };
  const digest = TypedDataEncoder.hash(domain, types, message);
  const wrapped = commitment({ data: digest, signingId: SIGNING_ID, nonce: BigInt(message.nonce), chainId: BigInt(chainId), genesisForkVersion });
  const secretKey = bytes(keccak256(toUtf8Bytes(`validator ${i}`))).with(0, 0); // Below the group's order.
  const pubkey = bls.getPublicKey(secretKey);
  const signature = sign(bytes(wrapped.signingRoot), secretKey);
  return {
    chainId,
    registry: REGISTRY,
    genesisForkVersion,
    ...message,
    structHash: TypedDataEncoder.hashStruct("Delegation", types, message),
    digest,
    ...wrapped,
    secretKey: hex(secretKey),
    pubkey: hex(pubkey),
    pubkeyRoot: hex(sha256(Uint8Array.from([...pubkey, ...new Uint8Array(16)]))),
    pubkeyPoint: encode1(decompress1(pubkey)),
    signature: hex(signature),
    signaturePoint: encode2(decompress2(signature)),
    wrongTagSignaturePoint: encode2(decompress2(sign(bytes(wrapped.signingRoot), secretKey, WRONG_DST))),
  };
});

// What Commit-Boost's own crate computes, as a service built on it states in its tests: our reading of the wrapping against theirs.
const published = {
  data: "0x310fefd12df340a4d723608aec3e7471ced2abe290a9458a5ba1832b9fc84653",
  signingId: "0xcb005700fab121c00ccbc94db58c04675b7847c38f9583815139d1d98bea0cb0",
  nonce: (2n ** 64n - 2n).toString(),
  chainId: "560048",
  genesisForkVersion: "0x10000910",
  domain: "0x6d6d6f43719103511efa4f1362ff2a50996cccf329cc84cb410c5e5c7d351d03",
  objectRoot: "0xfa3897cac4616ff1f5d3a698ebd827d267e460aaa20b8a6a3c8e46c7c01f455d",
  signingRoot: "0x90447b3fac12f371cbb8aa2e1527f2abda7576cd618244c005cdb3c0d63e8a7b",
};
const { domain, objectRoot, signingRoot } = published;
assert.deepEqual(commitment({ ...published, nonce: BigInt(published.nonce), chainId: BigInt(published.chainId) }), { domain, objectRoot, signingRoot });

writeFileSync(
  file("delegations.json"),
  JSON.stringify(
    {
      typeHash: keccak256(toUtf8Bytes(TypedDataEncoder.from(types).encodeType("Delegation"))),
      signingId: SIGNING_ID,
      domainType: hex(DOMAIN_TYPE),
      delegations,
      commitBoost: published,
    },
    null,
    2,
  ) + "\n",
);
