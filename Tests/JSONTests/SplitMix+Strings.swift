import TestSupport

extension SplitMix {
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
