import JSON
import TestSupport
import Testing

/// Random documents, whole and damaged, against the naive checker.
@Suite struct PropertyTests {
  @Test func `random documents are judged as the naive checker judges them`() throws {
    let seed = testSeed()
    var documents = DocumentGenerator(random: SplitMix(seed: seed))
    for number in 0..<4_000 {
      let whole = documents.document()
      try expectAgreement(whole, "document \(number), seed \(seed)")
      for _ in 0..<4 {
        try expectAgreement(documents.damaged(whole), "damaged \(number), seed \(seed)")
      }
    }
  }

  @Test func `most of what is generated is valid, and most damage shows`() {
    var documents = DocumentGenerator(random: SplitMix(seed: 1))
    let whole = (0..<300).map { _ in documents.document() }
    #expect(whole.count { minifiedNaively($0) != nil } == 300)
    let damaged = whole.map { documents.damaged($0) }
    let refused = damaged.count { minifiedNaively($0) == nil }
    #expect(refused > 100 && refused < 300)
  }

  private func expectAgreement(_ text: [UInt8], _ context: String) throws {
    let verdict = Result { () throws(JSONError) in try minifiedJSON(text) }
    let expected = minifiedNaively(text)
    #expect(verdict.map { Array($0.utf8) }.success == expected, "\(context): \(text)")
    let walk = Result { () throws(JSONError) in
      try JSONReader.read(text) { (reader) throws(JSONError) in try walked(&reader) }
    }
    #expect(verdict.failure == walk.failure, "\(context): \(text)")
    if let error = verdict.failure { try expectFirstPlace(of: error, in: text, context) }
    if let rewritten = walk.success {
      #expect(minifiedNaively(rewritten) == rewritten, "\(context): \(text)")
    }
  }

  /// What comes before the place of an error is innocent: cut there, the text is whole or merely
  /// too short. And the error does not depend on what comes after the byte it blames.
  private func expectFirstPlace(of error: JSONError, in text: [UInt8], _ context: String) throws {
    let before = Result { () throws(JSONError) in try minifiedJSON(Array(text[..<error.offset])) }
    if let other = before.failure {
      #expect(other.reason == .unexpectedEnd, "\(context): \(text)")
    }
    switch error.reason {
    case .unexpectedByte, .invalidNumber, .controlCharacter, .tooDeep, .trailingText:
      let with = Result { () throws(JSONError) in try minifiedJSON(Array(text[...error.offset])) }
      #expect(with.failure == error, "\(context): \(text)")
    default: break
    }
  }
}

extension Result {
  fileprivate var success: Success? { try? get() }

  fileprivate var failure: Failure? {
    if case .failure(let error) = self { error } else { nil }
  }
}

/// Makes valid documents with much white space and every kind of token, and breaks them.
struct DocumentGenerator {
  var random: SplitMix

  mutating func document() -> [UInt8] {
    let depth = chance(40) ? Int.random(in: 60...64, using: &random) : pick(0...4)
    return space() + value(depth: depth, mustNest: depth >= 60) + space()
  }

  /// `text` with one to three small damages; some leave it valid.
  mutating func damaged(_ text: [UInt8]) -> [UInt8] {
    var text = text
    for _ in 0..<pick(1...3) where !text.isEmpty {
      let place = pick(0...text.count - 1)
      switch pick(0...5) {
      case 0: text.remove(at: place)
      case 1: text.insert(interestingByte(), at: place)
      case 2: text[place] = interestingByte()
      case 3: text.removeSubrange(place...)
      case 4: text[place] ^= 1 << UInt8(pick(0...7))
      default:
        let end = min(text.count, place + pick(1...6))
        text.insert(contentsOf: text[place..<end], at: pick(0...text.count))
      }
    }
    return text
  }

  private mutating func value(depth: Int, mustNest: Bool = false) -> [UInt8] {
    guard depth > 0, mustNest || chance(2) else { return scalar() }
    let isObject = chance(2)
    var items: [[UInt8]] = []
    for index in 0..<(mustNest ? 1 : pick(0...4)) {
      let name = isObject ? string() + space() + [0x3A] + space() : []
      items.append(
        space() + name + value(depth: depth - 1, mustNest: mustNest && index == 0) + space())
    }
    if items.isEmpty { items = [space()] }
    let content = Array(items.joined(separator: [0x2C]))
    return isObject ? [0x7B] + content + [0x7D] : [0x5B] + content + [0x5D]
  }

  private mutating func scalar() -> [UInt8] {
    switch pick(0...5) {
    case 0: Array(["true", "false", "null"][pick(0...2)].utf8)
    case 1, 2: number()
    default: string()
    }
  }

  private mutating func number() -> [UInt8] {
    var text = chance(2) ? "-" : ""
    text += chance(3) ? "0" : "\(pick(1...9))" + digits(0...25)
    if chance(3) { text += "." + digits(1...20) }
    if chance(3) { text += ["e", "E", "e+", "E-"][pick(0...3)] + digits(1...4) }
    return Array(text.utf8)
  }

  private mutating func digits(_ count: ClosedRange<Int>) -> String {
    (0..<pick(count)).map { _ in "\(pick(0...9))" }.joined()
  }

  /// A string written in one of the many ways in which it can be.
  private mutating func string() -> [UInt8] {
    var result: [UInt8] = [0x22]
    for scalar in random.string(lengthMax: chance(4) ? 30 : 6).unicodeScalars {
      let mustEscape = scalar.value < 0x20 || scalar == "\"" || scalar == "\\"
      if !mustEscape && !chance(6) {
        result += Array(String(scalar).utf8)
      } else if let letter = Self.shortEscapes[scalar], chance(2) {
        result += [0x5C, letter]
      } else {
        for unit in String(scalar).utf16 {
          let digits = String(unit, radix: 16, uppercase: chance(2))
          result += Array((#"\u"# + String(repeating: "0", count: 4 - digits.count) + digits).utf8)
        }
      }
    }
    return result + [0x22]
  }

  private static let shortEscapes: [Unicode.Scalar: UInt8] = [
    "\"": 0x22, "\\": 0x5C, "/": 0x2F, "\u{08}": 0x62, "\u{0C}": 0x66, "\n": 0x6E, "\r": 0x72,
    "\t": 0x74,
  ]

  private mutating func space() -> [UInt8] {
    guard chance(3) else { return [] }
    return (0..<pick(1...4)).map { _ in [0x20, 0x0A, 0x0D, 0x09][pick(0...3)] }
  }

  private mutating func interestingByte() -> UInt8 {
    let interesting = Array("[]{},:\"\\u/0123456789abcdefDE.-+tnrl \n\t\0".utf8)
    let beyond: [UInt8] = [
      0x1F, 0x7F, 0x80, 0xBF, 0xC0, 0xC3, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF,
    ]
    return chance(4)
      ? beyond[pick(0...beyond.count - 1)] : interesting[pick(0...interesting.count - 1)]
  }

  private mutating func pick(_ range: ClosedRange<Int>) -> Int {
    Int.random(in: range, using: &random)
  }

  private mutating func chance(_ oneIn: Int) -> Bool { pick(1...oneIn) == 1 }
}
