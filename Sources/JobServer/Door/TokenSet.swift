import CNettle
import Glibc

/// The tokens that open the door, as SHA-256 digests: whoever reads this memory (a core file, or a
/// task in a worker that was forked from this program) finds no token in it.
///
/// A token is random and long (`BearerToken.lengthMin`), not a password that somebody chose, so
/// that a plain digest cannot be guessed backwards.
struct TokenSet: Equatable, Sendable {
  /// Tokens that one service takes; each costs a comparison of 32 bytes a request.
  static let countMax = 1_000

  private static let digestBytes = Int(SHA256_DIGEST_SIZE)

  /// A SHA-256 digest.
  typealias Digest = InlineArray<32, UInt8>

  /// One after another, in the order in which they were added.
  private var digests: [UInt8] = []

  /// How many tokens there are.
  var count: Int { digests.count / TokenSet.digestBytes }

  /// Adds a token; one that is there already changes nothing.
  mutating func insert(_ token: UnsafeBufferPointer<UInt8>) {
    if contains(token) { return }
    let digest = TokenSet.digest(of: token)
    for index in digest.indices { digests.append(digest[index]) }
  }

  /// Adds the tokens of another set.
  mutating func formUnion(_ other: TokenSet) {
    // Twice the same digest is one token too many in `count`, and nothing else.
    for start in stride(from: 0, to: other.digests.count, by: TokenSet.digestBytes) {
      let digest = other.digests[start..<start + TokenSet.digestBytes]
      let places = stride(from: 0, to: digests.count, by: TokenSet.digestBytes)
      let isThere = places.contains {
        digests[$0..<$0 + TokenSet.digestBytes].elementsEqual(digest)
      }
      if !isThere { digests += digest }
    }
  }

  /// Whether this is one of the tokens. It takes as long for each answer: digests are compared,
  /// which nobody can choose, all of them, and each in constant time (memeql_sec of Nettle).
  func contains(_ token: UnsafeBufferPointer<UInt8>) -> Bool {
    var digest = TokenSet.digest(of: token)
    var matches: Int32 = 0
    withUnsafeBytes(of: &digest) { wanted in
      digests.withUnsafeBytes { known in
        for start in stride(from: 0, to: known.count, by: TokenSet.digestBytes) {
          let candidate = UnsafeRawBufferPointer(rebasing: known[start...])
          matches |= nettle_memeql_sec(
            candidate.baseAddress, wanted.baseAddress, TokenSet.digestBytes)
        }
      }
    }
    return matches != 0
  }

  /// SHA-256 (FIPS 180-4), with nothing of the input left behind.
  static func digest(of bytes: UnsafeBufferPointer<UInt8>) -> Digest {
    var context = sha256_ctx()
    var digest = Digest(repeating: 0)
    nettle_sha256_init(&context)
    nettle_sha256_update(&context, bytes.count, bytes.baseAddress)
    withUnsafeMutableBytes(of: &digest) {
      nettle_sha256_digest(&context, $0.count, $0.baseAddress?.assumingMemoryBound(to: UInt8.self))
    }
    explicit_bzero(&context, MemoryLayout<sha256_ctx>.size)
    return digest
  }
}
