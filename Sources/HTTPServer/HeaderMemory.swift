import CMicroHTTPD
import Glibc

/// The header blocks of some requests that were sound, and what was read in them. The requests of a
/// client are mostly alike to the byte, and a block that is known need not be taken apart again.
///
/// To be known, a block must have the same bytes, and libmicrohttpd must have told the same lines
/// of it: it writes NUL over what ends a name or a line, so that the bytes alone do not say what it
/// made of them (`RequestLines`). No block is kept that may hold a secret, as the time that a
/// comparison takes would tell of it: none with `Authorization`, or with a header of a name that
/// `FieldTable` does not have.
struct HeaderMemory {
  /// A header as it was told, by places in the block.
  fileprivate struct Line: Equatable {
    let name: Int
    let nameCount: Int
    let value: Int
    let valueCount: Int
  }

  private struct Block {
    var bytes: [UInt8] = []
    var lines: [Line] = []
    var fields = HTTPFields()
    var contentLength = 0
    /// Requests with another block in this place since this one was met.
    var misses = 0
  }

  /// The longest block that is kept, in bytes.
  private static let bytesMax = 1_024
  /// Blocks are kept by their length: submissions and questions mostly have a place each.
  private static let placeCount = 8
  /// After so many others a block gives its place up: where no two requests are alike, most cost no
  /// more than a look.
  private static let missesMax = 4

  private var blocks = [Block](repeating: Block(), count: placeCount)
  /// How many requests had a block that was known.
  private(set) var recalledCount = 0

  /// What was read in a block that is known: the fields that are kept, and the stated length of the
  /// body, which is all there is to say of one that is kept. Nil when it must be read.
  mutating func recall(
    _ block: UnsafeBufferPointer<UInt8>, of connection: OpaquePointer
  ) -> (fields: HTTPFields, contentLength: Int)? {
    let place = block.count % Self.placeCount
    guard isAlike(block, at: place), isToldAlike(block, of: connection, at: place) else {
      blocks[place].misses += 1
      return nil
    }
    blocks[place].misses = 0
    recalledCount += 1
    return (blocks[place].fields, blocks[place].contentLength)
  }

  /// Keeps a block that was read and is sound, if there is a place for it.
  mutating func keep(
    _ block: UnsafeBufferPointer<UInt8>, of connection: OpaquePointer, fields: HTTPFields,
    contentLength: Int
  ) {
    let place = block.count % Self.placeCount
    let isTaken = !blocks[place].bytes.isEmpty && blocks[place].misses < Self.missesMax
    guard !isTaken, block.count <= Self.bytesMax, let start = block.baseAddress else { return }
    blocks[place] = Block(
      bytes: [UInt8](block), lines: Self.lines(of: connection, from: start),
      fields: fields, contentLength: contentLength)
  }

  private func isAlike(_ block: UnsafeBufferPointer<UInt8>, at place: Int) -> Bool {
    blocks[place].bytes.withUnsafeBufferPointer { known in
      guard known.count == block.count, let known = known.baseAddress,
        let start = block.baseAddress
      else { return false }
      return memcmp(known, start, block.count) == 0
    }
  }

  private func isToldAlike(
    _ block: UnsafeBufferPointer<UInt8>, of connection: OpaquePointer, at place: Int
  ) -> Bool {
    blocks[place].lines.withUnsafeBufferPointer { known in
      var comparison = Comparison(start: block.baseAddress, known: known)
      withUnsafeMutablePointer(to: &comparison) { comparison in
        _ = MHD_get_connection_values_n(
          connection, .HEADER_KIND,
          { context, _, name, nameCount, value, valueCount in
            guard let context else { return .NO }
            let comparison = context.assumingMemoryBound(to: Comparison.self)
            let line = Line(name, nameCount, value, valueCount, from: comparison.pointee.start)
            return comparison.pointee.takes(line) ? .YES : .NO
          }, comparison)
      }
      return comparison.isAlike && comparison.count == known.count
    }
  }

  private static func lines(
    of connection: OpaquePointer, from start: UnsafePointer<UInt8>
  ) -> [Line] {
    var list = List(start: start)
    withUnsafeMutablePointer(to: &list) { list in
      _ = MHD_get_connection_values_n(
        connection, .HEADER_KIND,
        { context, _, name, nameCount, value, valueCount in
          guard let context else { return .NO }
          let list = context.assumingMemoryBound(to: List.self)
          list.pointee.lines.append(
            Line(name, nameCount, value, valueCount, from: list.pointee.start))
          return .YES
        }, list)
    }
    return list.lines
  }

  /// The lines that are told while they are compared with those that are known.
  private struct Comparison {
    let start: UnsafePointer<UInt8>?
    let known: UnsafeBufferPointer<Line>
    var count = 0
    var isAlike = true

    mutating func takes(_ line: Line) -> Bool {
      isAlike = count < known.count && known[count] == line
      count += 1
      return isAlike
    }
  }

  /// The lines that are told while they are listed.
  private struct List {
    let start: UnsafePointer<UInt8>
    var lines: [Line] = []
  }
}

extension HeaderMemory.Line {
  fileprivate init(
    _ name: UnsafePointer<CChar>?, _ nameCount: Int, _ value: UnsafePointer<CChar>?,
    _ valueCount: Int, from start: UnsafePointer<UInt8>?
  ) {
    let start = Int(bitPattern: start)
    self.init(
      name: Int(bitPattern: name) - start, nameCount: nameCount,
      value: Int(bitPattern: value) - start, valueCount: valueCount)
  }
}
