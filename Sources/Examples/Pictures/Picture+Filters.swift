/// What is done to a picture.
public enum Filter: String, Codable, Sendable, CaseIterable {
  /// Softer.
  case blur
  /// Edges more marked.
  case sharpen
  /// No colours.
  case greyscale
  /// Nothing but where it changes.
  case edges
  /// A quarter turn clockwise.
  case rotation
}

extension Picture {
  /// The picture after a filter. It takes one thread, and about as long as there are points.
  public func filtered(_ filter: Filter) -> Picture {
    switch filter {
    case .blur: blurred(radius: 4)
    case .sharpen: convolved([0, -1, 0, -1, 5, -1, 0, -1, 0])
    case .greyscale: greyscale()
    case .edges: greyscale().convolved([-1, -1, -1, -1, 8, -1, -1, -1, -1])
    case .rotation: rotated()
    }
  }

  /// Each point the mean of those around it, three times over, which is nearly a Gaussian blur.
  func blurred(radius: Int) -> Picture {
    var result = self
    for _ in 0..<3 {
      result = result.averaged(radius, lines: height, step: 3, from: 3 * width, count: width)
      result = result.averaged(radius, lines: width, step: 3 * width, from: 3, count: height)
    }
    return result
  }

  /// Each point of each line the mean of the `2 * radius + 1` around it; beyond its ends a line
  /// goes on as it ends. A line begins `from` bytes after the one before, and has `count` points
  /// that are `step` bytes apart.
  private func averaged(
    _ radius: Int, lines: Int, step: Int, from: Int, count: Int
  ) -> Picture {
    var result = self
    let size = 2 * radius + 1
    bytes.withUnsafeBufferPointer { old in
      result.bytes.withUnsafeMutableBufferPointer { new in
        var line = 0
        while line < 3 * lines {
          let first = line / 3 * from + line % 3
          let last = first + (count - 1) * step
          // The sum moves along: it gains a point in front and loses one behind.
          var sum = Int(old[first]) * (radius + 1)
          var ahead = 1
          while ahead <= radius {
            sum += Int(old[min(first + ahead * step, last)])
            ahead += 1
          }
          var place = first
          while place <= last {
            new[place] = UInt8(sum / size)
            sum += Int(old[min(place + (radius + 1) * step, last)])
            sum -= Int(old[max(place - radius * step, first)])
            place += step
          }
          line += 1
        }
      }
    }
    return result
  }

  /// Each point the sum of the nine around it, each times its weight. The points of the margin
  /// stay as they are.
  func convolved(_ weights: [Int]) -> Picture {
    var result = self
    let line = 3 * width
    let around = [-line - 3, -line, -line + 3, -3, 0, 3, line - 3, line, line + 3]
    let parts = zip(around, weights).filter { $1 != 0 }
    bytes.withUnsafeBufferPointer { old in
      result.bytes.withUnsafeMutableBufferPointer { new in
        var y = 1
        while y < height - 1 {
          var place = y * line + 3
          let end = (y + 1) * line - 3
          while place < end {
            var sum = 0
            for (offset, weight) in parts { sum += Int(old[place + offset]) * weight }
            new[place] = UInt8(max(0, min(sum, 255)))
            place += 1
          }
          y += 1
        }
      }
    }
    return result
  }

  /// Each point as bright as it was (ITU-R BT.601).
  func greyscale() -> Picture {
    var result = self
    var place = 0
    while place < bytes.count {
      let (red, green, blue) = (Int(bytes[place]), Int(bytes[place + 1]), Int(bytes[place + 2]))
      let grey = UInt8((299 * red + 587 * green + 114 * blue) / 1000)
      result.bytes[place] = grey
      result.bytes[place + 1] = grey
      result.bytes[place + 2] = grey
      place += 3
    }
    return result
  }

  /// A quarter turn clockwise.
  func rotated() -> Picture {
    var result = Picture(width: height, height: width)
    var y = 0
    while y < height {
      var x = 0
      while x < width {
        let from = 3 * (y * width + x)
        let to = 3 * (x * height + (height - 1 - y))
        result.bytes[to] = bytes[from]
        result.bytes[to + 1] = bytes[from + 1]
        result.bytes[to + 2] = bytes[from + 2]
        x += 1
      }
      y += 1
    }
    return result
  }
}
