/// What became of a line of the journal on the disk.
enum Wholeness {
  /// Every byte is as it was written.
  case whole
  /// Some bytes never came to the disk.
  case torn
  /// They came, and are others now.
  case altered

  /// What a disk writes whole or not at all, in bytes; what it did not write reads as zeros.
  fileprivate static let sectorBytes = 512
}

extension LineReader.Line {
  /// What the bytes of the line tell, which are the only witness.
  ///
  /// A write that was cut off leaves a line without its line feed, or with zeros to the end of a
  /// sector in the place of what did not come: JSON holds no zeros. Anything else was done to a
  /// line that was once whole, and which somebody may have been told of. (A byte that was changed
  /// to zero in the last place of a sector passes for torn.)
  var wholeness: Wholeness {
    guard isTerminated else {
      // The line feed alone is another byte.
      let front = UnsafeBufferPointer(rebasing: bytes.dropLast())
      return bytes.last != 0 && RecordCodec.isWhole(front) ? .altered : .torn
    }
    if RecordCodec.isWhole(bytes) { return .whole }
    var end = Wholeness.sectorBytes - offset % Wholeness.sectorBytes
    while end <= bytes.count {
      if bytes[end - 1] == 0 { return .torn }
      end += Wholeness.sectorBytes
    }
    return .altered
  }
}
