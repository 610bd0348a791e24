/// What was probably meant by a name that there is not.
enum Spelling {
  /// ` (did you mean NAME?)` if one of those that are known is much like it; else nothing.
  static func hint(for stranger: String, among known: [String]) -> String {
    let nearest = known.map { (name: $0, distance: distance(stranger, $0)) }
      .min { $0.distance < $1.distance }
    // Of a short name a third, or else any would be like any other.
    let most = min(3, max(1, stranger.utf8.count / 3))
    guard let nearest, nearest.distance <= most else { return "" }
    return " (did you mean \(nearest.name)?)"
  }

  /// How many letters have to be put in, left out or replaced to make one name of the other.
  static func distance(_ left: String, _ right: String) -> Int {
    let right = Array(right.utf8)
    var row = Array(0...right.count)
    for (line, byte) in left.utf8.enumerated() {
      var diagonal = row[0]
      row[0] = line + 1
      for (column, other) in right.enumerated() {
        let replaced = diagonal + (byte == other ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
      }
    }
    return row[right.count]
  }
}
