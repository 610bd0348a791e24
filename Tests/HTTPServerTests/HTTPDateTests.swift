import Glibc
import Testing

@testable import HTTPServer

@Suite struct HTTPDateTests {
  @Test func `the date of the RFC is written as there`() {
    #expect(text(of: 784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
  }

  @Test func `every date is written as the C library writes it`() {
    var date = HTTPDate()
    let borders: [Int64] = [
      0, -1, 951_782_399, 951_868_800, 4_102_444_800, -62_167_219_200, 253_402_300_799,
    ]
    // Steps of a prime number of seconds, so that every part takes every value.
    let others = (0..<4_000).map { Int64($0) * 2_654_435 + 7 }
    for second in borders + others {
      date.set(second)
      #expect(text(of: date) == expected(second))
    }
  }

  @Test(
    arguments: [-62_167_219_201, 253_402_300_800, 67_768_036_191_676_799, .max, .min] as [Int64])
  func `beyond the years that four digits can write there is none`(second: Int64) {
    var date = HTTPDate()
    date.set(0)
    date.set(second)
    #expect(date.second == nil)
  }

  private func text(of second: Int64) -> String {
    var date = HTTPDate()
    date.set(second)
    return text(of: date)
  }

  private func text(of date: HTTPDate) -> String {
    String(unsafeUninitializedCapacity: HTTPDate.byteCount) { buffer in
      if let start = buffer.baseAddress { date.copy(to: start) }
      return HTTPDate.byteCount
    }
  }

  /// strftime(3) in the C locale, but for the year, which it does not pad.
  private func expected(_ second: Int64) -> String {
    var time = time_t(second)
    var parts = tm()
    gmtime_r(&time, &parts)
    var buffer = [CChar](repeating: 0, count: 64)
    func part(_ format: String) -> String {
      let count = strftime(&buffer, buffer.count, format, &parts)
      return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    let year = String(parts.tm_year + 1_900)
    let padded = String(repeating: "0", count: 4 - year.count) + year
    return part("%a, %d %b ") + padded + part(" %H:%M:%S GMT")
  }
}
