import JobCore

/// How long a client wants to wait for an answer: `Prefer: wait=10` (RFC 7240) or `?wait=10`.
///
/// RFC 7240 has whole seconds in `wait`; decimals are taken as well, and answered as granted.
struct WaitWish: Equatable {
  /// The longest wait that is granted, in milliseconds.
  static let waitMax: Milliseconds = 60_000

  /// The granted wait; nil: the client asked for none. 0 is a wait that is over at once.
  var granted: Milliseconds?
  /// What `Preference-Applied` says; nil when no preference of the header was honoured.
  var applied: String?

  /// The wish of a client that does not wait.
  init() {}

  /// Reads both forms; the query wins, as it is the more deliberate one, and nothing of the header
  /// is then applied.
  ///
  /// - Throws: a problem when `?wait=` is not a number of seconds. A malformed preference is
  ///   ignored, as RFC 7240 section 2 asks.
  init(prefer: String?, query: String?) throws(Problem) {
    if let query {
      guard let seconds = WaitWish.seconds(query, besidesDigits: ".eE+-") else {
        throw Problem.invalid("?wait= is a number of seconds, like ?wait=5; it was '\(query)'")
      }
      granted = seconds
    } else if let prefer {
      read(prefer)
    }
  }

  /// The granted wait in milliseconds, with 0 for none.
  var milliseconds: Milliseconds { granted ?? 0 }

  /// Of a preference that is given twice, the first counts (RFC 7240 section 2). `wait` with
  /// `respond-async` waits so long and answers 202 then (section 4.3): just what `wait` does here.
  private mutating func read(_ prefer: String) {
    var isAsync = false
    var isWaitSeen = false
    for item in prefer.split(separator: ",") {
      let preference = item.prefix { $0 != ";" }
      let parts = preference.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      switch WaitWish.trimmed(parts[0]).lowercased() {
      case "wait" where !isWaitSeen && parts.count == 2:
        isWaitSeen = true
        granted = WaitWish.seconds(WaitWish.unquoted(parts[1]), besidesDigits: ".")
      case "respond-async": isAsync = true
      default: continue
      }
    }
    if let granted {
      applied = "wait=\(WaitWish.text(ofMilliseconds: granted))"
    } else if isAsync {
      applied = "respond-async"
    }
  }

  /// A number of seconds as granted milliseconds; nil when it is none. `Double` reads hexadecimal,
  /// `inf` and `nan` too, which nobody means.
  private static func seconds(_ text: String, besidesDigits others: String) -> Milliseconds? {
    guard text.allSatisfy({ $0.isASCII && $0.isNumber || others.contains($0) }),
      let seconds = Double(text), seconds >= 0
    else { return nil }
    return Milliseconds((min(seconds, Double(waitMax) / 1_000) * 1_000).rounded())
  }

  /// Seconds as the client would write them: `5`, `0.2`.
  private static func text(ofMilliseconds milliseconds: Milliseconds) -> String {
    milliseconds % 1_000 == 0
      ? "\(milliseconds / 1_000)" : "\(Double(milliseconds) / 1_000)"
  }

  private static func unquoted(_ text: some StringProtocol) -> String {
    let text = trimmed(text)
    guard text.utf8.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") else { return text }
    return String(text.dropFirst().dropLast())
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
