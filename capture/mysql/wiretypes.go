package mysql

// Column types as they stand in the binlog.
const (
	typeTiny       = 1
	typeShort      = 2
	typeLong       = 3
	typeFloat      = 4
	typeDouble     = 5
	typeTimestamp  = 7 // before MySQL 5.6; still the type of timestamps inside JSON
	typeLongLong   = 8
	typeInt24      = 9
	typeDate       = 10
	typeTime       = 11 // before 5.6; inside JSON
	typeDatetime   = 12 // before 5.6; inside JSON
	typeYear       = 13
	typeVarchar    = 15
	typeBit        = 16
	typeTimestamp2 = 17
	typeDatetime2  = 18
	typeTime2      = 19
	typeVector     = 242
	typeJSON       = 245
	typeNewDecimal = 246
	typeEnum       = 247
	typeSet        = 248
	typeBlob       = 252
	typeVarString  = 253
	typeString     = 254
	typeGeometry   = 255
)
