/// A small random generator whose draws are the same for the same seed (xoshiro256**, seeded by
/// SplitMix64). Not for secrets: an id is a name, not a key.
public struct SeededGenerator: RandomNumberGenerator, Equatable, Sendable {
  private var state: (UInt64, UInt64, UInt64, UInt64)

  /// Makes a generator; the shell draws the seed from the system, tests choose it.
  public init(seed: UInt64) {
    var mix = seed
    func draw() -> UInt64 {
      mix &+= 0x9E37_79B9_7F4A_7C15
      var word = mix
      word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
      word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
      return word ^ word >> 31
    }
    state = (draw(), draw(), draw(), draw())
  }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    func rotate(_ word: UInt64, _ count: UInt64) -> UInt64 { word << count | word >> (64 - count) }
    let result = rotate(state.1 &* 5, 7) &* 9
    let shifted = state.1 << 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= shifted
    state.3 = rotate(state.3, 45)
    return result
  }

  /// Equal when all further draws are.
  public static func == (lhs: SeededGenerator, rhs: SeededGenerator) -> Bool {
    lhs.state == rhs.state
  }
}
