import JobCore

/// How long a client wants to wait for an answer: `Prefer: wait=10` (RFC 7240) or `?wait=10`.
struct WaitWish: Equatable {
  /// The longest wait that is granted, in milliseconds.
  static let waitMax: Milliseconds = 60_000

  /// The granted wait; 0: answer at once.
  var milliseconds: Milliseconds = 0
  /// What `Preference-Applied` says; nil when no preference was expressed by header.
  var applied: String?

  /// Reads both forms; the query wins, as it is the more deliberate one.
  ///
  /// - Throws: a problem when `?wait=` is not a number of seconds. A malformed preference is
  ///   ignored, as RFC 7240 section 2 asks.
  init(prefer: String?, query: String?) throws(Problem) {
    if let prefer { read(prefer) }
    guard let query else { return }
    guard let seconds = Double(query), seconds >= 0, seconds.isFinite else {
      throw Problem.invalid("?wait= is a number of seconds, like ?wait=5; it was '\(query)'")
    }
    milliseconds = WaitWish.granted(seconds)
  }

  private mutating func read(_ prefer: String) {
    var isAsync = false
    for item in prefer.split(separator: ",") {
      let preference = item.prefix { $0 != ";" }
      let parts = preference.split(separator: "=", maxSplits: 1)
      guard let first = parts.first else { continue }
      switch WaitWish.trimmed(first).lowercased() {
      case "wait":
        guard applied == nil || isAsync, parts.count == 2 else { continue }
        let value = WaitWish.trimmed(parts[1]).filter { $0 != "\"" }
        guard let seconds = Double(value), seconds >= 0, seconds.isFinite else { continue }
        milliseconds = WaitWish.granted(seconds)
        applied = "wait=\(milliseconds / 1_000)"
      case "respond-async":
        isAsync = true
        if applied == nil { applied = "respond-async" }
      default: continue
      }
    }
  }

  private static func granted(_ seconds: Double) -> Milliseconds {
    Milliseconds((min(seconds, Double(waitMax) / 1_000) * 1_000).rounded())
  }

  private static func trimmed(_ text: some StringProtocol) -> String {
    String(
      text.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }
        .reversed())
  }
}

/// A client's key for "the same submission": a quoted string (RFC 8941) or bare.
enum IdempotencyKey {
  static let lengthMax = 255

  /// The key in `header`; nil when there is no header.
  static func read(_ header: String?) throws(Problem) -> String? {
    guard let header else { return nil }
    var key = header
    if key.utf8.count >= 2, key.hasPrefix("\""), key.hasSuffix("\"") {
      key = String(key.dropFirst().dropLast())
    }
    guard
      !key.isEmpty, key.utf8.count <= lengthMax,
      key.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") })
    else {
      throw Problem.invalid(
        "Idempotency-Key has 1 to \(lengthMax) visible ASCII characters, quoted or bare")
    }
    return key
  }
}
