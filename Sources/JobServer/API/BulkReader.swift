import JSON

/// Finds the submissions in a body that holds many: a JSON array, or one JSON text a line.
///
/// What it answers are places, so that each submission is read for itself and a bad one spoils no
/// other.
enum BulkReader {
  /// Most submissions of one request.
  static let countMax = 10_000

  private static let tooMany = Problem(
    status: 413, code: .payloadTooLarge,
    detail: "at most \(countMax) submissions in one request; there are more, and none was taken")

  /// Whether the body is an array, as far as its first byte tells.
  static func isArray(_ body: [UInt8]) -> Bool {
    body.first { !isSpace($0) } == UInt8(ascii: "[")
  }

  /// The places of the elements of an array.
  ///
  /// - Throws: a problem when the body is not JSON, or the array has more than `countMax` elements.
  static func elements(of body: [UInt8]) throws(Problem) -> [Range<Int>] {
    var places: [Range<Int>] = []
    var isFull = false
    do throws(JSONError) {
      // What lies too deep is a mistake of its element, found when that is read.
      try JSONReader.read(body, depthMax: .max) { (json) throws(JSONError) in
        try json.beginArray()
        while !isFull, try json.nextElement() {
          places.append(try json.skipValue())
          isFull = places.count > countMax
        }
      }
    } catch {
      if !isFull {
        throw Problem.invalid("the body is not the JSON that is expected: \(error)", at: "")
      }
    }
    if isFull { throw tooMany }
    return places
  }

  /// The places of the lines that are not blank. A last line may lack its line feed.
  ///
  /// - Throws: a problem when there are more than `countMax`.
  static func lines(of body: [UInt8]) throws(Problem) -> [Range<Int>] {
    var places: [Range<Int>] = []
    var start = 0
    while start < body.count {
      let end = body[start...].firstIndex(of: UInt8(ascii: "\n")) ?? body.count
      if !body[start..<end].allSatisfy(isSpace) {
        guard places.count < countMax else { throw tooMany }
        places.append(start..<end)
      }
      start = end + 1
    }
    return places
  }

  /// White space as JSON has it.
  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
  }
}
