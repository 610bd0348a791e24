/// All that is left to chance in a simulation: one generator, so that one seed determines it all.
/// A class, as every simulated edge draws from the same one.
final class Chance {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed &* 0x2545_F491_4F6C_DD1D &+ 1
  }

  /// The next 64 bits: SplitMix64 (Steele, Lea, Flood 2014).
  func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }

  /// A number from 0 to `bound` - 1.
  func below(_ bound: Int) -> Int { bound <= 1 ? 0 : Int(next() % UInt64(bound)) }

  /// A number of the range.
  func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

  /// True `part` times in a hundred.
  func percent(_ part: Int) -> Bool { below(100) < part }

  /// One of the elements.
  func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

  /// A position in a list of weights, each as likely as it is heavy; one of them is not 0.
  func weighted(_ weights: [Int]) -> Int {
    var rest = below(weights.reduce(0, +))
    for (index, weight) in weights.enumerated() {
      if rest < weight { return index }
      rest -= weight
    }
    return weights.count - 1
  }
}

/// How often what happened, by a word for it.
struct Tally {
  private(set) var counts: [String: Int] = [:]

  mutating func note(_ word: String, _ count: Int = 1) { counts[word, default: 0] += count }

  subscript(word: String) -> Int { counts[word, default: 0] }

  mutating func add(_ other: Tally) { counts.merge(other.counts, uniquingKeysWith: +) }
}
