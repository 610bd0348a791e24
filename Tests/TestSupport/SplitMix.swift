import Glibc

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere for the same seed.
public struct SplitMix: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// A generator whose draws `seed` determines.
  public init(seed: UInt64) { state = seed }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// The seed of this run: `LIDO_SEED`, or another one each time. Failures print it.
public func testSeed() -> UInt64 {
  environment("LIDO_SEED").flatMap(UInt64.init) ?? UInt64.random(in: 0...999_999_999)
}

/// A variable of the environment, `nil` when it is not set.
public func environment(_ name: String) -> String? {
  getenv(name).map { String(cString: $0) }
}
