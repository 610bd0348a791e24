import Glibc

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere for the same seed.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// The seed of this run: `LIDO_SEED`, or another one each time. Failures print it.
func testSeed() -> UInt64 {
  environment("LIDO_SEED").flatMap(UInt64.init) ?? UInt64.random(in: 0...999_999_999)
}

/// A variable of the environment, `nil` when it is not set.
func environment(_ name: String) -> String? {
  getenv(name).map { String(cString: $0) }
}

extension SeededGenerator {
  /// A string in which what is special to JSON or UTF-8 comes often.
  mutating func string(lengthMax: Int) -> String {
    var result = ""
    for _ in 0..<Int.random(in: 0...lengthMax, using: &self) {
      let range: ClosedRange<UInt32> =
        switch Int.random(in: 0..<8, using: &self) {
        case 0: 0...0x1F
        case 1: 0x22...0x22
        case 2: 0x5C...0x5C
        case 3: 0x7F...0x7FF
        case 4: 0x800...0xFFFF
        case 5: 0x10000...0x10FFFF
        default: 0x20...0x7E
        }
      if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &self)) {
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
